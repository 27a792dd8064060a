"""Front ends for notebooks: the only place of the lab that imports ipywidgets.

A front end holds controls, calls functions of other wings, and shows the Python that does the same.
"""

from lab.widgets.compare import Compare
from lab.widgets.kill_map import KillMap
from lab.widgets.microscope import Microscope
from lab.widgets.playground import Playground
from lab.widgets.probe_size import ProbeSize
from lab.widgets.race import Race

__all__ = ["Compare", "KillMap", "Microscope", "Playground", "ProbeSize", "Race"]
