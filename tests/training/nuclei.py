"""Trains the compact U-Net for cell nuclei that comes with wavetile, and writes it as an ONNX file.

    pip install torch==2.13.0 onnx pillow
    python -m tests.training.nuclei nuclei_compact.onnx [IMAGE.tif MASK.tif]

Everything is seeded, and all that the network learns from is drawn by `fields`: no image of anybody is in it, so that
the weights may be passed on under the project's licence. With an image and its mask (0 is background), which training
never sees, the script ends by saying how well the network finds the mask again. Copied to engine/models/cards, the file
ships; its sha256 goes into the card nuclei_compact.toml.

The weights that ship took about 10 minutes of two cores of a Xeon at 2.5 GHz (18 beside other work), and a second run
gave the same bits; another machine or version of torch may not. Intersection over union, at a probability of 0.5 or
more: 0.896 (median of 32 more drawn fields) and 0.800 on a real image, img2d.tif of StarDist's examples. That image
was looked at before the fields were written, for its magnification and range of intensities; nothing was trained on it,
and nothing was changed after its overlap was known.

The network is made to be cut into tiles exactly: 3x3 convolutions with zeros around the image, pooling by 2, nearest
neighbours, concatenations. Nothing in it looks at the whole image. Batch norms are folded into the convolutions before
them. Height and width are free multiples of 8.
"""

from __future__ import annotations

import argparse
import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.training.fields import FIELD_PIXELS, draw_field, normalise

# Optional: the tests and the type checker get along without it.
torch: Any = importlib.import_module("torch")

SEED = 7
CHANNELS = (8, 16, 32, 64)
"""From full resolution down; each level has half the pixels along each side."""
FIELDS = 512
CHECK_FIELDS = 32
STEPS = 900
BATCH = 8
CROP_PIXELS = 128
LEARNING_RATE = 4e-3
THREADS = 2
OPSET = 17
IR_VERSION = 8
BATCH_NORM_EPSILON = 1e-5


def blocks() -> list[tuple[str, int, int]]:
    """Name, channels in, channels out of each pair of convolutions, in the order in which they are computed."""
    inputs = (1, *CHANNELS[:-1])
    down = [(f"down{level}", *sizes) for level, sizes in enumerate(zip(inputs, CHANNELS, strict=True))]
    up = [
        (f"up{level}", CHANNELS[level] + CHANNELS[level + 1], CHANNELS[level])
        for level in reversed(range(len(CHANNELS) - 1))
    ]
    return [*down, *up]


class CompactUNet(torch.nn.Module):
    """The network; `forward` gives logits. Twice convolution, batch norm and Relu a block."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.blocks = nn.ModuleDict()
        for name, inputs, outputs in blocks():
            layers: list[Any] = []
            for channels in (inputs, outputs):
                layers += [
                    nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
                    nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON),
                    nn.ReLU(inplace=True),
                ]
            self.blocks[name] = nn.Sequential(*layers)
        self.head = nn.Conv2d(CHANNELS[0], 1, 1)

    def forward(self, image: Any) -> Any:
        """`[batch, 1, height, width] float32` to logits of the same shape."""
        functional = torch.nn.functional
        skips: list[Any] = []
        x = image
        for level in range(len(CHANNELS)):
            x = self.blocks[f"down{level}"](functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(CHANNELS) - 1)):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.blocks[f"up{level}"](torch.cat([skips[level], x], 1))
        return self.head(x)


def train(seed: int = SEED, steps: int = STEPS) -> CompactUNet:
    """Train on drawn fields; says now and then how it goes."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(THREADS)
    rng = np.random.default_rng(seed)
    started = time.monotonic()
    images, masks = draw_fields(rng, FIELDS)
    print(f"{FIELDS} fields drawn in {time.monotonic() - started:.0f} s")
    # Channels last: torch trains layers of few channels in two thirds of the time.
    network = CompactUNet().to(memory_format=torch.channels_last)
    print(f"{sum(weight.numel() for weight in network.parameters())} weights")
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    network.train()
    for step in range(steps):
        image, mask = draw_batch(rng, images, masks)
        loss = overlap_loss(network(image), mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.4f}, {time.monotonic() - started:.0f} s", flush=True)
    return network.eval()


def draw_fields(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images `[count, pixels, pixels] float32` and masks `[count, pixels, pixels] bool`."""
    images = np.empty((count, FIELD_PIXELS, FIELD_PIXELS), np.float32)
    masks = np.empty(images.shape, bool)
    for index in range(count):
        images[index], masks[index] = draw_field(rng)
    return images, masks


def draw_batch(rng: np.random.Generator, images: np.ndarray, masks: np.ndarray) -> tuple[Any, Any]:
    """Cut pieces out of fields, turned and mirrored at random: two tensors `[batch, 1, pixels, pixels] float32`."""
    pieces = []
    for index in rng.integers(0, len(images), BATCH):
        y, x = rng.integers(0, FIELD_PIXELS - CROP_PIXELS + 1, 2)
        turns, mirrored = int(rng.integers(4)), rng.integers(2)
        piece = np.stack([whole[index, y : y + CROP_PIXELS, x : x + CROP_PIXELS] for whole in (images, masks)])
        piece = np.rot90(piece, turns, (1, 2))
        pieces.append(piece[:, :, ::-1] if mirrored else piece)
    batch = torch.from_numpy(np.stack(pieces, 1)[:, :, None].astype(np.float32))
    return batch[0].contiguous(memory_format=torch.channels_last), batch[1]


def overlap_loss(logits: Any, mask: Any) -> Any:
    """Cross entropy a pixel, plus one minus the Dice overlap of the whole batch."""
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, mask)
    probability = torch.sigmoid(logits)
    dice = (2 * (probability * mask).sum() + 1) / (probability.sum() + mask.sum() + 1)
    return entropy + 1 - dice


def intersection_over_union(probability: np.ndarray, mask: np.ndarray) -> float:
    """Of the foreground, at probability 0.5."""
    found = probability >= 0.5
    return float((found & mask).sum() / max((found | mask).sum(), 1))


def probability_of(network: CompactUNet, image: np.ndarray) -> np.ndarray:
    """Run the trained network on one normalised image `[height, width]`; the probability, of the same shape."""
    with torch.no_grad():
        return torch.sigmoid(network(torch.from_numpy(image)[None, None])).numpy()[0, 0]


def export(network: CompactUNet, path: Path) -> None:
    """Write the network as ONNX: plain operators, batch norms folded, free height and width."""
    nodes: list[onnx.NodeProto] = []
    constants = {"scales": np.array([1, 1, 2, 2], np.float32)}

    def convolve(x: str, name: str, weights: np.ndarray, bias: np.ndarray) -> str:
        constants[f"{name}.weight"], constants[f"{name}.bias"] = weights, bias
        margin = weights.shape[-1] // 2
        nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.weight", f"{name}.bias"], [name], name, kernel_shape=weights.shape[2:],
                pads=[margin] * 4,
            )
        )  # fmt: skip
        return name

    def block(x: str, name: str) -> str:
        layers = network.blocks[name]
        for index in (0, 1):
            x = convolve(x, f"{name}.conv{index}", *folded(layers[3 * index], layers[3 * index + 1]))
            nodes.append(helper.make_node("Relu", [x], [f"{name}.relu{index}"], f"{name}.relu{index}"))
            x = f"{name}.relu{index}"
        return x

    x, skips = "image", []
    for level in range(len(CHANNELS)):
        if level:
            name = f"down{level}.pool"
            nodes.append(helper.make_node("MaxPool", [x], [name], name, kernel_shape=[2, 2], strides=[2, 2]))
            x = name
        x = block(x, f"down{level}")
        skips.append(x)
    for level in reversed(range(len(CHANNELS) - 1)):
        larger, both = f"up{level}.larger", f"up{level}.both"
        nodes.append(
            helper.make_node(
                "Resize", [x, "", "scales"], [larger], larger, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        )  # fmt: skip
        nodes.append(helper.make_node("Concat", [skips[level], larger], [both], both, axis=1))
        x = block(both, f"up{level}")
    x = convolve(x, "logit", *(weights.detach().numpy() for weights in (network.head.weight, network.head.bias)))
    nodes.append(helper.make_node("Sigmoid", [x], ["probability"], "probability"))
    save(path, nodes, constants)


def folded(convolution: Any, norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution with its batch norm's means and variances folded into it, float32."""
    mean, variance, gain, offset = (
        tensor.detach().double().numpy() for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    factor = gain / np.sqrt(variance + norm.eps)
    weights = convolution.weight.detach().double().numpy() * factor[:, None, None, None]
    return weights.astype(np.float32), (offset - mean * factor).astype(np.float32)


def save(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> None:
    """Check the graph and write it."""
    shape = [1, 1, "height", "width"]
    graph = helper.make_graph(
        nodes,
        "nuclei_compact",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
        doc_string="Compact U-Net for cell nuclei; height and width are multiples of 8. Apache-2.0.",
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="wavetile"
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def read_image(path: Path) -> np.ndarray:
    """Read a picture of one channel as `[height, width]`."""
    image: Any = importlib.import_module("PIL.Image")
    return np.asarray(image.open(path))


def main() -> None:
    """Train, write the file, and say what was reached."""
    parser = argparse.ArgumentParser(description="Train the compact U-Net for cell nuclei.")
    parser.add_argument("output", type=Path, help="the ONNX file to write")
    parser.add_argument("unseen", type=Path, nargs="*", help="an image and its mask, to say how well the two agree")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()

    network = train(steps=options.steps)
    export(network, options.output)
    # Another seed: fields that training did not draw.
    images, masks = draw_fields(np.random.default_rng(SEED + 1), CHECK_FIELDS)
    agreement = [
        intersection_over_union(probability_of(network, one), mask) for one, mask in zip(images, masks, strict=True)
    ]
    print(f"intersection over union on {CHECK_FIELDS} more fields: median {np.median(agreement):.3f}")
    if len(options.unseen) == 2:
        image, mask = (read_image(path) for path in options.unseen)
        agreed = intersection_over_union(probability_of(network, normalise(image)), mask > 0)
        print(f"intersection over union on {options.unseen[0].name}: {agreed:.3f}")


if __name__ == "__main__":
    main()
