"""What to do instead, for operators that cannot be read."""

from __future__ import annotations

_LOOP = "unroll it when exporting"
_DATA = "how many results there are depends on the data; leave it outside the model"
_RANDOM = "random values have no place in inference; pass them as an input"
_SEQUENCE = "a sequence is no tensor; export with tensors, one for each element"
_TEXT = "work on text belongs before the model"
_TREE = "classical models are not run on dataflow chips"
_TRAINING = "export the model for inference"

ADVICE: dict[str, str] = {
    "SequenceMap": _LOOP,
    "NonMaxSuppression": _DATA,
    "Unique": _DATA,
    "RoiAlign": "regions depend on the data; leave it outside the model",
    "MaxRoiPool": "regions depend on the data; leave it outside the model",
    "RandomNormal": _RANDOM,
    "RandomNormalLike": _RANDOM,
    "RandomUniform": _RANDOM,
    "RandomUniformLike": _RANDOM,
    "Multinomial": _RANDOM,
    "Bernoulli": _RANDOM,
    "SequenceAt": _SEQUENCE,
    "SequenceConstruct": _SEQUENCE,
    "SequenceEmpty": _SEQUENCE,
    "SequenceErase": _SEQUENCE,
    "SequenceInsert": _SEQUENCE,
    "SequenceLength": _SEQUENCE,
    "SplitToSequence": _SEQUENCE,
    "ConcatFromSequence": _SEQUENCE,
    "Optional": _SEQUENCE,
    "OptionalGetElement": _SEQUENCE,
    "OptionalHasElement": _SEQUENCE,
    "StringConcat": _TEXT,
    "StringNormalizer": _TEXT,
    "StringSplit": _TEXT,
    "RegexFullMatch": _TEXT,
    "TfIdfVectorizer": _TEXT,
    "ai.onnx.ml.TreeEnsemble": _TREE,
    "ai.onnx.ml.TreeEnsembleClassifier": _TREE,
    "ai.onnx.ml.TreeEnsembleRegressor": _TREE,
    "ai.onnx.preview.training.Adam": _TRAINING,
    "ai.onnx.preview.training.Adagrad": _TRAINING,
    "ai.onnx.preview.training.Momentum": _TRAINING,
}
