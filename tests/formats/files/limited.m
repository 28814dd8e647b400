function [y1] = limited(x1)
%LIMITED neural network simulation function.
%
%   x = Qx3 matrix, input #1
%   y = Qx1 matrix, output #1

%#ok<*RPMT0>

% ===== NEURAL NETWORK CONSTANTS =====

% Input 1
y1_step1.xoffset = -1.0551505512051213564;
y1_step1.gain = 0.49080097723465476722;
y1_step1.ymean = 0;

% Layer 1
b1 = [-0.021651229055558367936;-0.37225056400061590223];
IW1_1 = [-0.49803984475130336218 0.32802009254257696869 -0.60921613794987061752;1.590640231323143805 -1.1912266816177807804 0.35453194628692602519];

% Layer 2
b2 = -1.7181849497326164844;
LW2_1 = [-1.0484055185445111391 1.4059629431348852346];

% ===== SIMULATION ========

Q = size(x1,1); % samples

% Input 1
x1 = x1';

% Layer 1
a1 = repmat(b1,1,Q) + IW1_1*x1;

% Layer 2
a2 = tansig_apply(repmat(b2,1,Q) + LW2_1*a1);

% Output 1
y1 = mapstd_reverse(a2,y1_step1);
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

function a = tansig_apply(n,~)
a = 2 ./ (1 + exp(-2*n)) - 1;
end
