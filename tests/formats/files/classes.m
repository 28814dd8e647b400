function [y1] = classes(x1)
%CLASSES neural network simulation function.
%
%   x = Qx3 matrix, input #1
%   y = Qx3 matrix, output #1

%#ok<*RPMT0>

% ===== NEURAL NETWORK CONSTANTS =====

% Input 1
x1_step1.keep = [1;3];
x1_step2.xoffset = [0.22578661322792176191;-0.35263079434159538827];
x1_step2.gain = [0.38128741815135036575;0.76804634610895006208];
x1_step2.ymean = 0;

% Layer 1
b1 = [-0.96409966354124043697;0.75722104475815044111;-2.034167273443427959;-0.91449453799458868541];
IW1_1 = [-0.44476745568278408527 -1.0764058401008076427;0.026124833534033622962 -0.052747308242879271944;1.4055981660180925097 0.7474079874793504441;0.19381564626462000067 1.1116332052239921158];

% Layer 2
b2 = [0.70957998774206754167;1.1564010484321569638;-2.1580053801262080171];
LW2_1 = [-0.20552304990579248201 -0.9258995736483680572 0.58405831102524796705 0.5825384186556901156;-0.21482891112685578716 -0.78280857796396619008 0.22915390521326253759 -2.4938942784579904988;0.69012477016281204012 0.491368260744991181 -1.6388571438904884214 0.061353509838171588209];

% ===== SIMULATION ========

Q = size(x1,1); % samples

% Input 1
x1 = x1';
xp1 = removeconstantrows_apply(x1,x1_step1);
xp1 = mapstd_apply(xp1,x1_step2);

% Layer 1
a1 = satlin_apply(repmat(b1,1,Q) + IW1_1*xp1);

% Layer 2
a2 = softmax_apply(repmat(b2,1,Q) + LW2_1*a1);

% Output 1
y1 = a2;
y1 = y1';
end

% ===== MODULE FUNCTIONS ========

function y = mapstd_apply(x,settings)
y = bsxfun(@minus,x,settings.xoffset);
y = bsxfun(@times,y,settings.gain);
y = bsxfun(@plus,y,settings.ymean);
end

function x = mapstd_reverse(y,settings)
x = bsxfun(@minus,y,settings.ymean);
x = bsxfun(@rdivide,x,settings.gain);
x = bsxfun(@plus,x,settings.xoffset);
end

function y = removeconstantrows_apply(x,settings)
y = x(settings.keep,:);
end

function a = satlin_apply(n,~)
a = max(0,min(1,n));
end

function a = softmax_apply(n,~)
e = exp(bsxfun(@minus,n,max(n,[],1))); a = bsxfun(@rdivide,e,sum(e,1));
end
