from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StreamPriority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STREAM_PRIORITY_UNSPECIFIED: _ClassVar[StreamPriority]
    STREAM_PRIORITY_LOW: _ClassVar[StreamPriority]
    STREAM_PRIORITY_NORMAL: _ClassVar[StreamPriority]
    STREAM_PRIORITY_HIGH: _ClassVar[StreamPriority]

class LatePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATE_POLICY_UNSPECIFIED: _ClassVar[LatePolicy]
    LATE_POLICY_PROCESS: _ClassVar[LatePolicy]
    LATE_POLICY_SKIP: _ClassVar[LatePolicy]
    LATE_POLICY_BYPASS: _ClassVar[LatePolicy]

class AudioEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIO_ENCODING_UNSPECIFIED: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_S16LE: _ClassVar[AudioEncoding]
    AUDIO_ENCODING_PCM_F32LE: _ClassVar[AudioEncoding]

class PixelType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PIXEL_TYPE_UNSPECIFIED: _ClassVar[PixelType]
    PIXEL_TYPE_UINT8: _ClassVar[PixelType]
    PIXEL_TYPE_UINT16: _ClassVar[PixelType]
    PIXEL_TYPE_FLOAT32: _ClassVar[PixelType]

class ImageOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_ORDER_UNSPECIFIED: _ClassVar[ImageOrder]
    IMAGE_ORDER_RASTER: _ClassVar[ImageOrder]
    IMAGE_ORDER_ANY: _ClassVar[ImageOrder]
    IMAGE_ORDER_ROWS: _ClassVar[ImageOrder]
    IMAGE_ORDER_SLICES: _ClassVar[ImageOrder]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_SPEECH_START: _ClassVar[EventKind]
    EVENT_KIND_SPEECH_END: _ClassVar[EventKind]

class ModelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_KIND_UNSPECIFIED: _ClassVar[ModelKind]
    MODEL_KIND_AUDIO: _ClassVar[ModelKind]
    MODEL_KIND_FEATURES: _ClassVar[ModelKind]
    MODEL_KIND_IMAGE: _ClassVar[ModelKind]
STREAM_PRIORITY_UNSPECIFIED: StreamPriority
STREAM_PRIORITY_LOW: StreamPriority
STREAM_PRIORITY_NORMAL: StreamPriority
STREAM_PRIORITY_HIGH: StreamPriority
LATE_POLICY_UNSPECIFIED: LatePolicy
LATE_POLICY_PROCESS: LatePolicy
LATE_POLICY_SKIP: LatePolicy
LATE_POLICY_BYPASS: LatePolicy
AUDIO_ENCODING_UNSPECIFIED: AudioEncoding
AUDIO_ENCODING_PCM_S16LE: AudioEncoding
AUDIO_ENCODING_PCM_F32LE: AudioEncoding
PIXEL_TYPE_UNSPECIFIED: PixelType
PIXEL_TYPE_UINT8: PixelType
PIXEL_TYPE_UINT16: PixelType
PIXEL_TYPE_FLOAT32: PixelType
IMAGE_ORDER_UNSPECIFIED: ImageOrder
IMAGE_ORDER_RASTER: ImageOrder
IMAGE_ORDER_ANY: ImageOrder
IMAGE_ORDER_ROWS: ImageOrder
IMAGE_ORDER_SLICES: ImageOrder
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_SPEECH_START: EventKind
EVENT_KIND_SPEECH_END: EventKind
MODEL_KIND_UNSPECIFIED: ModelKind
MODEL_KIND_AUDIO: ModelKind
MODEL_KIND_FEATURES: ModelKind
MODEL_KIND_IMAGE: ModelKind

class StreamRequest(_message.Message):
    __slots__ = ("config", "audio", "features", "tile", "received")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    audio: bytes
    features: FeatureFrames
    tile: ImageTile
    received: Received
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., audio: _Optional[bytes] = ..., features: _Optional[_Union[FeatureFrames, _Mapping]] = ..., tile: _Optional[_Union[ImageTile, _Mapping]] = ..., received: _Optional[_Union[Received, _Mapping]] = ...) -> None: ...

class Received(_message.Message):
    __slots__ = ("next_frame_index",)
    NEXT_FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    next_frame_index: int
    def __init__(self, next_frame_index: _Optional[int] = ...) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("model", "audio", "features", "image", "frame_budget_ns", "late_policy", "priority", "resumable", "resume", "model_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FRAME_BUDGET_NS_FIELD_NUMBER: _ClassVar[int]
    LATE_POLICY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RESUMABLE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    audio: AudioConfig
    features: FeatureConfig
    image: ImageConfig
    frame_budget_ns: int
    late_policy: LatePolicy
    priority: StreamPriority
    resumable: bool
    resume: Resume
    model_version: str
    def __init__(self, model: _Optional[str] = ..., audio: _Optional[_Union[AudioConfig, _Mapping]] = ..., features: _Optional[_Union[FeatureConfig, _Mapping]] = ..., image: _Optional[_Union[ImageConfig, _Mapping]] = ..., frame_budget_ns: _Optional[int] = ..., late_policy: _Optional[_Union[LatePolicy, str]] = ..., priority: _Optional[_Union[StreamPriority, str]] = ..., resumable: bool = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., model_version: _Optional[str] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("token", "next_frame_index", "next_sequence_number", "next_sample_index")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NEXT_FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    NEXT_SAMPLE_INDEX_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    next_frame_index: int
    next_sequence_number: int
    next_sample_index: int
    def __init__(self, token: _Optional[bytes] = ..., next_frame_index: _Optional[int] = ..., next_sequence_number: _Optional[int] = ..., next_sample_index: _Optional[int] = ...) -> None: ...

class AudioConfig(_message.Message):
    __slots__ = ("sample_rate_hz", "channels", "encoding")
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    sample_rate_hz: int
    channels: int
    encoding: AudioEncoding
    def __init__(self, sample_rate_hz: _Optional[int] = ..., channels: _Optional[int] = ..., encoding: _Optional[_Union[AudioEncoding, str]] = ...) -> None: ...

class FeatureConfig(_message.Message):
    __slots__ = ("feature_count",)
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    feature_count: int
    def __init__(self, feature_count: _Optional[int] = ...) -> None: ...

class ImageConfig(_message.Message):
    __slots__ = ("height", "width", "channels", "pixel_type", "order", "tile_pixels", "depth", "scale", "offset")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PIXEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    TILE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    channels: int
    pixel_type: PixelType
    order: ImageOrder
    tile_pixels: int
    depth: int
    scale: float
    offset: float
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., pixel_type: _Optional[_Union[PixelType, str]] = ..., order: _Optional[_Union[ImageOrder, str]] = ..., tile_pixels: _Optional[int] = ..., depth: _Optional[int] = ..., scale: _Optional[float] = ..., offset: _Optional[float] = ...) -> None: ...

class FeatureFrames(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class ImageTile(_message.Message):
    __slots__ = ("name", "y", "x", "height", "width", "channels", "pixel_type", "data", "z", "depth")
    NAME_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PIXEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    y: int
    x: int
    height: int
    width: int
    channels: int
    pixel_type: PixelType
    data: bytes
    z: int
    depth: int
    def __init__(self, name: _Optional[str] = ..., y: _Optional[int] = ..., x: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., pixel_type: _Optional[_Union[PixelType, str]] = ..., data: _Optional[bytes] = ..., z: _Optional[int] = ..., depth: _Optional[int] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("started", "result", "notice", "forget")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    started: StreamStarted
    result: StreamResult
    notice: Notice
    forget: Forget
    def __init__(self, started: _Optional[_Union[StreamStarted, _Mapping]] = ..., result: _Optional[_Union[StreamResult, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ..., forget: _Optional[_Union[Forget, _Mapping]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("grace_ns", "resume_token")
    GRACE_NS_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grace_ns: int
    resume_token: bytes
    def __init__(self, grace_ns: _Optional[int] = ..., resume_token: _Optional[bytes] = ...) -> None: ...

class Forget(_message.Message):
    __slots__ = ("replay_from",)
    REPLAY_FROM_FIELD_NUMBER: _ClassVar[int]
    replay_from: int
    def __init__(self, replay_from: _Optional[int] = ...) -> None: ...

class StreamStarted(_message.Message):
    __slots__ = ("stream_id", "model", "kind", "sample_rate_hz", "channels", "hop_samples", "model_sample_rate_hz", "delay_samples", "returns_audio", "value_names", "first_frame_samples", "image_outputs", "kept_bytes", "resume_token", "resume_from", "next_sequence_number", "model_version")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    HOP_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MODEL_SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    DELAY_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    RETURNS_AUDIO_FIELD_NUMBER: _ClassVar[int]
    VALUE_NAMES_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    KEPT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RESUME_FROM_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    model: str
    kind: ModelKind
    sample_rate_hz: int
    channels: int
    hop_samples: int
    model_sample_rate_hz: int
    delay_samples: int
    returns_audio: bool
    value_names: _containers.RepeatedScalarFieldContainer[str]
    first_frame_samples: int
    image_outputs: _containers.RepeatedCompositeFieldContainer[ImageOutput]
    kept_bytes: int
    resume_token: bytes
    resume_from: int
    next_sequence_number: int
    model_version: str
    def __init__(self, stream_id: _Optional[str] = ..., model: _Optional[str] = ..., kind: _Optional[_Union[ModelKind, str]] = ..., sample_rate_hz: _Optional[int] = ..., channels: _Optional[int] = ..., hop_samples: _Optional[int] = ..., model_sample_rate_hz: _Optional[int] = ..., delay_samples: _Optional[int] = ..., returns_audio: bool = ..., value_names: _Optional[_Iterable[str]] = ..., first_frame_samples: _Optional[int] = ..., image_outputs: _Optional[_Iterable[_Union[ImageOutput, _Mapping]]] = ..., kept_bytes: _Optional[int] = ..., resume_token: _Optional[bytes] = ..., resume_from: _Optional[int] = ..., next_sequence_number: _Optional[int] = ..., model_version: _Optional[str] = ...) -> None: ...

class ImageOutput(_message.Message):
    __slots__ = ("name", "height", "width", "depth", "channels", "delay_rows", "delay_columns", "delay_slices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    DELAY_ROWS_FIELD_NUMBER: _ClassVar[int]
    DELAY_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DELAY_SLICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    height: int
    width: int
    depth: int
    channels: int
    delay_rows: float
    delay_columns: float
    delay_slices: float
    def __init__(self, name: _Optional[str] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., depth: _Optional[int] = ..., channels: _Optional[int] = ..., delay_rows: _Optional[float] = ..., delay_columns: _Optional[float] = ..., delay_slices: _Optional[float] = ...) -> None: ...

class StreamResult(_message.Message):
    __slots__ = ("sequence_number", "first_frame_index", "frame_count", "first_sample_index", "audio", "values", "events", "tiles", "queue_time_ns", "compute_time_ns", "image_index", "finished_share", "late_frame_count", "skipped_frame_count", "bypassed_frame_count", "replay_from")
    SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_FRAME_INDEX_FIELD_NUMBER: _ClassVar[int]
    FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SAMPLE_INDEX_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TILES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    FINISHED_SHARE_FIELD_NUMBER: _ClassVar[int]
    LATE_FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    BYPASSED_FRAME_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FROM_FIELD_NUMBER: _ClassVar[int]
    sequence_number: int
    first_frame_index: int
    frame_count: int
    first_sample_index: int
    audio: bytes
    values: _containers.RepeatedCompositeFieldContainer[NamedValue]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    tiles: _containers.RepeatedCompositeFieldContainer[ImageTile]
    queue_time_ns: int
    compute_time_ns: int
    image_index: int
    finished_share: float
    late_frame_count: int
    skipped_frame_count: int
    bypassed_frame_count: int
    replay_from: int
    def __init__(self, sequence_number: _Optional[int] = ..., first_frame_index: _Optional[int] = ..., frame_count: _Optional[int] = ..., first_sample_index: _Optional[int] = ..., audio: _Optional[bytes] = ..., values: _Optional[_Iterable[_Union[NamedValue, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., tiles: _Optional[_Iterable[_Union[ImageTile, _Mapping]]] = ..., queue_time_ns: _Optional[int] = ..., compute_time_ns: _Optional[int] = ..., image_index: _Optional[int] = ..., finished_share: _Optional[float] = ..., late_frame_count: _Optional[int] = ..., skipped_frame_count: _Optional[int] = ..., bypassed_frame_count: _Optional[int] = ..., replay_from: _Optional[int] = ...) -> None: ...

class NamedValue(_message.Message):
    __slots__ = ("name", "shape", "numbers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    numbers: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., numbers: _Optional[_Iterable[float]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "sample_index", "time_seconds", "probability")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    kind: EventKind
    sample_index: int
    time_seconds: float
    probability: float
    def __init__(self, kind: _Optional[_Union[EventKind, str]] = ..., sample_index: _Optional[int] = ..., time_seconds: _Optional[float] = ..., probability: _Optional[float] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSummary]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSummary, _Mapping]]] = ...) -> None: ...

class ModelSummary(_message.Message):
    __slots__ = ("name", "kind", "sample_rate_hz", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ModelKind
    sample_rate_hz: int
    version: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ModelKind, str]] = ..., sample_rate_hz: _Optional[int] = ..., version: _Optional[str] = ...) -> None: ...

class DescribeModelRequest(_message.Message):
    __slots__ = ("model", "model_version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    model_version: str
    def __init__(self, model: _Optional[str] = ..., model_version: _Optional[str] = ...) -> None: ...

class DescribeModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelDescription
    def __init__(self, model: _Optional[_Union[ModelDescription, _Mapping]] = ...) -> None: ...

class ModelDescription(_message.Message):
    __slots__ = ("name", "kind", "sample_rate_hz", "hop_samples", "delay_samples", "feature_count", "returns_audio", "value_names", "inputs", "outputs", "operators", "multiply_adds", "weight_bytes", "state_bytes", "license", "pixel_normalization", "version")
    class OperatorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    HOP_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    DELAY_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    FEATURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RETURNS_AUDIO_FIELD_NUMBER: _ClassVar[int]
    VALUE_NAMES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLY_ADDS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STATE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_NORMALIZATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ModelKind
    sample_rate_hz: int
    hop_samples: int
    delay_samples: int
    feature_count: int
    returns_audio: bool
    value_names: _containers.RepeatedScalarFieldContainer[str]
    inputs: _containers.RepeatedCompositeFieldContainer[TensorDescription]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorDescription]
    operators: _containers.ScalarMap[str, int]
    multiply_adds: int
    weight_bytes: int
    state_bytes: int
    license: str
    pixel_normalization: PixelNormalization
    version: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ModelKind, str]] = ..., sample_rate_hz: _Optional[int] = ..., hop_samples: _Optional[int] = ..., delay_samples: _Optional[int] = ..., feature_count: _Optional[int] = ..., returns_audio: bool = ..., value_names: _Optional[_Iterable[str]] = ..., inputs: _Optional[_Iterable[_Union[TensorDescription, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorDescription, _Mapping]]] = ..., operators: _Optional[_Mapping[str, int]] = ..., multiply_adds: _Optional[int] = ..., weight_bytes: _Optional[int] = ..., state_bytes: _Optional[int] = ..., license: _Optional[str] = ..., pixel_normalization: _Optional[_Union[PixelNormalization, _Mapping]] = ..., version: _Optional[str] = ...) -> None: ...

class PixelNormalization(_message.Message):
    __slots__ = ("percentiles", "standard_score")
    PERCENTILES_FIELD_NUMBER: _ClassVar[int]
    STANDARD_SCORE_FIELD_NUMBER: _ClassVar[int]
    percentiles: PercentileRange
    standard_score: StandardScore
    def __init__(self, percentiles: _Optional[_Union[PercentileRange, _Mapping]] = ..., standard_score: _Optional[_Union[StandardScore, _Mapping]] = ...) -> None: ...

class PercentileRange(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class StandardScore(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TensorDescription(_message.Message):
    __slots__ = ("name", "dtype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: str
    shape: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[str] = ..., shape: _Optional[_Iterable[str]] = ...) -> None: ...
