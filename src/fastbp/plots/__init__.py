"""Pictures of networks, in the manner of scikit-learn's Displays (``pip install fastbp[plot]``).

Each display is made by ``from_network``, or by ``from_estimator`` from anything with a ``network_``, keeps what it
shows as attributes, and draws itself: ``plot(ax)`` draws again, elsewhere. After drawing, ``ax_`` and ``figure_`` are
matplotlib's.

>>> import fastbp
>>> net = fastbp.Network((2, 3, 1), seed=0).fit([[0, 0], [1, 1]], [0, 1], epochs=5)
>>> display = fastbp.plots.CostCurveDisplay.from_network(net)
>>> display.ax_.get_xlabel()
'epoch'
"""

from .cost_curve import CostCurveDisplay
from .decision_region import DecisionRegionDisplay
from .learning_curve import LearningCurveDisplay
from .learning_rates import LearningRateDisplay
from .network import NetworkDisplay
from .reliability import ReliabilityDisplay

__all__ = ["CostCurveDisplay", "DecisionRegionDisplay", "LearningCurveDisplay", "LearningRateDisplay", "NetworkDisplay",
           "ReliabilityDisplay"]
