"""Compress any PyTorch model that repeats a layer: BERT, Whisper, Llama, or one of your own.

>>> from foldformer.compress import foreign
>>> from foldformer.compress.plan import Plan
>>> plan = foreign.ForeignPlan(stacks={"encoder.layer": Plan(uses=(3, 3))})
>>> foreign.fold(model, plan)                                       # doctest: +SKIP
>>> foreign.save("folded", model, plan, source="original")          # doctest: +SKIP
>>> model = foreign.load("folded")                                  # doctest: +SKIP
"""

from foldformer.compress.foreign.align import align as align
from foldformer.compress.foreign.calibration import calibrate as calibrate
from foldformer.compress.foreign.distil import DistilSpec as DistilSpec
from foldformer.compress.foreign.distil import distil as distil
from foldformer.compress.foreign.files import load as load
from foldformer.compress.foreign.files import read_plan as read_plan
from foldformer.compress.foreign.files import save as save
from foldformer.compress.foreign.fold import fold as fold
from foldformer.compress.foreign.fold import unfold as unfold
from foldformer.compress.foreign.inputs import recordings as recordings
from foldformer.compress.foreign.inputs import sentences as sentences
from foldformer.compress.foreign.losses import data_loss as data_loss
from foldformer.compress.foreign.plan import ForeignPlan as ForeignPlan
from foldformer.compress.foreign.stacks import Stack as Stack
from foldformer.compress.foreign.stacks import find_stack as find_stack
from foldformer.compress.foreign.stacks import find_stacks as find_stacks
