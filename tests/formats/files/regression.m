function [y1] = regression(x1)
%REGRESSION neural network simulation function.
%
%   x = 3xQ matrix, input #1
%   y = 2xQ matrix, output #1

%#ok<*RPMT0>

% ===== NEURAL NETWORK CONSTANTS =====

% Input 1
x1_step1.xoffset = [2.0409191213851824998;-2.5556650313141817676;0.4180988467257788499];
x1_step1.gain = [0.66776960612792979344;0.55264929211044588886;0.3155971630897659308];
x1_step1.ymin = -1;
y1_step1.xoffset = [-2.0199861291472509528;-0.23193237764418947466];
y1_step1.gain = [0.96521307627494168369;3.4229995166448827781];
y1_step1.ymin = -1;

% Layer 1
b1 = [-2.8281623068437626856;1.0213068175000798998;-0.95964475980814167855;-1.6686198426559695207];
IW1_1 = [0.48194538850678586561 -0.23855360657336668884 0.95775870295976406332;-0.1998021290665799865 0.024259565076664622862 1.545820851212811986;0.54510552268764456141 -0.50522873561401804299 -0.18283897459773490457;0.54052513175480210172 1.9350880340988527717 -0.26962032734191349048];

% Layer 2
b2 = [0.27644575952099964544;0.70054488534939007849];
LW2_1 = [-0.24355867907910455639 1.0023136012756912461 -0.88645994316058707163 -0.29172023243986400232;0.88253896745648385824 0.58035001619089909841 0.091516703282352188098 0.67010435482847940936];

% ===== SIMULATION ========

Q = size(x1,2); % samples

% Input 1
xp1 = mapminmax_apply(x1,x1_step1);

% Layer 1
a1 = tansig_apply(repmat(b1,1,Q) + IW1_1*xp1);

% Layer 2
a2 = repmat(b2,1,Q) + LW2_1*a1;

% Output 1
y1 = mapminmax_reverse(a2,y1_step1);
end

% ===== MODULE FUNCTIONS ========

function y = mapminmax_apply(x,settings)
y = bsxfun(@minus,x,settings.xoffset);
y = bsxfun(@times,y,settings.gain);
y = bsxfun(@plus,y,settings.ymin);
end

function x = mapminmax_reverse(y,settings)
x = bsxfun(@minus,y,settings.ymin);
x = bsxfun(@rdivide,x,settings.gain);
x = bsxfun(@plus,x,settings.xoffset);
end

function a = tansig_apply(n,~)
a = 2 ./ (1 + exp(-2*n)) - 1;
end
