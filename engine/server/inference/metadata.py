"""Entries of the catalogue as the protocol's metadata and configuration."""

from __future__ import annotations

from ....proto.inference.v2 import inference_pb2 as pb
from .catalogue import NetworkEntry, StreamEntry

PLATFORM = "wavetile"
EXTENSIONS = ("sequence", "schedule_policy", "model_configuration", "statistics", "binary_tensor_data", "parameters")

_DATA_TYPES = {
    "BOOL": pb.TYPE_BOOL,
    "UINT8": pb.TYPE_UINT8,
    "UINT16": pb.TYPE_UINT16,
    "UINT32": pb.TYPE_UINT32,
    "UINT64": pb.TYPE_UINT64,
    "INT8": pb.TYPE_INT8,
    "INT16": pb.TYPE_INT16,
    "INT32": pb.TYPE_INT32,
    "INT64": pb.TYPE_INT64,
    "FP16": pb.TYPE_FP16,
    "FP32": pb.TYPE_FP32,
    "FP64": pb.TYPE_FP64,
    "BF16": pb.TYPE_BF16,
    "BYTES": pb.TYPE_STRING,
}


def metadata_message(entry: NetworkEntry | StreamEntry) -> pb.ModelMetadataResponse:
    """Name, version and tensors. Raises TooManyStreamsError when a stream's outputs are not known and none has room."""
    return pb.ModelMetadataResponse(
        name=entry.name,
        versions=[entry.release.version],
        platform=PLATFORM,
        inputs=[
            pb.ModelMetadataResponse.TensorMetadata(name=one.name, datatype=one.datatype, shape=one.shape)
            for one in entry.inputs
        ],
        outputs=[
            pb.ModelMetadataResponse.TensorMetadata(name=one.name, datatype=one.datatype, shape=one.shape)
            for one in entry.outputs
        ],
    )


def config_message(entry: NetworkEntry | StreamEntry, sequence_idle_s: float) -> pb.ModelConfig:
    """The same as a model's configuration, and of streams what a frame is. Raises as `metadata_message`."""
    config = pb.ModelConfig(
        name=entry.name,
        platform=PLATFORM,
        backend=PLATFORM,
        input=[
            pb.ModelInput(name=one.name, data_type=_DATA_TYPES.get(one.datatype, pb.TYPE_INVALID), dims=one.shape)
            for one in entry.inputs
        ],
        output=[
            pb.ModelOutput(name=one.name, data_type=_DATA_TYPES.get(one.datatype, pb.TYPE_INVALID), dims=one.shape)
            for one in entry.outputs
        ],
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )
    if isinstance(entry, StreamEntry):
        config.sequence_batching.max_sequence_idle_microseconds = int(sequence_idle_s * 1e6)
        for name in ("sample_rate_hz", "hop_samples", "delay_samples"):
            config.parameters[name].string_value = str(getattr(entry.description, name))
    return config
