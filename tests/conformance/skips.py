"""What of ONNX's conformance suite is not run, and why: the one list.

No operator that is claimed is on it: none that has a rule, and none that binding resolves (`graph.RESOLVED`: If, Loop,
Scan, sequences inside a network, and what makes constants). All that is on it is refused when it is loaded or run.
"""

from __future__ import annotations

TEXT = "works on text; wavetile processes numbers"
RANDOM = "gives other numbers every time: there is no right answer to compare with"
TRAINING = "belongs to training; wavetile runs forward inference"
CLASSICAL = "belongs to ai.onnx.ml, the operators of classical machine learning, not of networks"
PREVIEW = "belongs to a preview domain that may still change"

OPERATORS = {
    "Adagrad": TRAINING,
    "Adam": TRAINING,
    "Gradient": TRAINING,
    "Momentum": TRAINING,
    "Bernoulli": RANDOM,
    "RandomUniformLike": RANDOM,
    "ArrayFeatureExtractor": CLASSICAL,
    "Binarizer": CLASSICAL,
    "LabelEncoder": CLASSICAL,
    "TreeEnsemble": CLASSICAL,
    "FlexAttention": PREVIEW,
    "ImageDecoder": "decodes files; its output's size depends on what the file says",
    "RegexFullMatch": TEXT,
    "StringConcat": TEXT,
    "StringNormalizer": TEXT,
    "StringSplit": TEXT,
    "TfIdfVectorizer": TEXT,
    "SequenceMap": "maps over sequences whose length is not known before they arrive",
}
"""Operator -> reason: cases that contain it."""

BOUNDARY = {
    "string": TEXT,
    "sequence": "takes or gives a sequence at the network's boundary; sequences are resolved inside networks only",
    "optional": "takes or gives an optional value at the network's boundary",
}
"""Kind of a network's input or output -> reason."""

CASES = {
    "test_training_dropout": TRAINING,
    "test_training_dropout_default": TRAINING,
    "test_training_dropout_default_mask": TRAINING,
    "test_training_dropout_mask": TRAINING,
    "test_training_dropout_zero_ratio": TRAINING,
    "test_training_dropout_zero_ratio_mask": TRAINING,
    "test_batchnorm_epsilon_training_mode": TRAINING,
    "test_batchnorm_example_training_mode": TRAINING,
    "test_scan_sum": "Scan of operator set 8 has a batch axis, which operator set 9 took away",
}
"""Case -> reason: modes of operators that are otherwise claimed."""
