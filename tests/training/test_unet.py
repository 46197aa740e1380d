"""The U-Net: sizes, paddings, skip connections, losses."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch

from unetsweep.contract import DataConfig, ModelConfig, TrainerConfig, TrialConfig, one_value_problem
from unetsweep.core.memory import parameters, sample_bytes
from unetsweep.training.module import Segmentation, sample_losses
from unetsweep.training.unet import UNet, centre, mirror, probabilities, valid_input, valid_output

Resize = Literal["none", "nearest", "bilinear"]
RESIZES: tuple[Resize, ...] = ("none", "nearest", "bilinear")


def test_base_64_depth_4_has_31_million_parameters_and_widths_from_64_to_1024() -> None:
    with torch.device("meta"):
        unet = UNet(ModelConfig(norm="none"))
    assert sum(p.numel() for p in unet.parameters()) == 31_031_745
    assert [level[0].out_channels for level in unet.down] == [64, 128, 256, 512]
    assert unet.bottleneck[0].out_channels == 1024
    assert [level[0].in_channels for level in unet.up] == [1024, 512, 256, 128]


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(base=4, depth=3),
        ModelConfig(base=4, depth=2, norm="none", in_channels=1),
        ModelConfig(base=4, depth=1, padding="valid"),
        ModelConfig(base=2, depth=2, padding="valid", output_resize="bilinear"),
    ],
)
def test_the_computed_memory_of_a_step_is_below_what_autograd_keeps(model: ModelConfig) -> None:
    unet = UNet(model)
    assert sum(p.numel() for p in unet.parameters()) == parameters(model)
    own = {p.untyped_storage().data_ptr() for p in unet.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        if (at := x.untyped_storage().data_ptr()) not in own:
            kept[at] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        unet(torch.rand(1, model.in_channels, 64, 64))
    measured = sum(x.untyped_storage().nbytes() for x in kept.values())
    computed = sample_bytes(TrialConfig(DataConfig("images"), 1, 1, 1e-3, model), 64 * 64)
    assert computed <= measured
    if model.padding == "same":
        assert computed >= 0.8 * measured


def test_valid_convolutions_turn_572_into_388_pixels() -> None:
    with torch.device("meta"):
        unet = UNet(ModelConfig(padding="valid", norm="none"))
        assert unet.convolve(torch.empty(1, 3, 572, 572)).shape == (1, 1, 388, 388)
        assert unet(torch.empty(1, 3, 584, 565)).shape == (1, 1, 584, 565)


def test_skip_connections_concatenate_the_centre_of_the_encoders_features() -> None:
    unet = UNet(ModelConfig(base=2, depth=2, padding="valid", norm="none"))
    skips: list[np.ndarray] = []
    joined: list[np.ndarray] = []
    for level in unet.down:
        level.register_forward_hook(lambda _m, _i, out: skips.append(out.detach().numpy().copy()))
    for level in unet.up:
        level.register_forward_pre_hook(lambda _m, given: joined.append(given[0].detach().numpy().copy()))
    unet.convolve(torch.rand(1, 3, 44, 52))
    # By hand, from above: 44 -> 40 -> 20 -> 16 -> 8 -> 4, up to 8 (16 cut by 4), to 4, up to 8 (40 cut by 16);
    # the width is 8 more at the top, 4 at the second level.
    assert skips[0].shape[2:] == (40, 48)
    assert skips[1].shape[2:] == (16, 20)
    np.testing.assert_array_equal(joined[0][:, :4], skips[1][:, :, 4:12, 4:16])
    np.testing.assert_array_equal(joined[1][:, :2], skips[0][:, :, 16:24, 16:32])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(16, 16), (17, 30), (21, 37), (45, 31)])
def test_the_output_has_the_size_of_the_input(padding: str, size: tuple[int, int]) -> None:
    unet = UNet(ModelConfig(base=2, depth=3, padding=padding))  # type: ignore[arg-type]
    assert unet(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_an_output_pixel_is_about_the_place_of_the_same_pixel_of_the_image(
    depth: int, resize: Resize, padding: Literal["same", "valid"]
) -> None:
    class Unchanged(UNet):
        """Convolutions that change no value; `valid` ones lose their border."""

        def convolve(self, x: torch.Tensor, count: torch.Tensor | None = None) -> torch.Tensor:
            return x if padding == "same" else centre(x, *(valid_output(side, depth) for side in x.shape[-2:]))

    unet = Unchanged(ModelConfig(base=1, depth=depth, padding=padding, output_resize=resize))
    for size in ((64, 64), (65, 64), (64, 65), (33, 47), (50, 128), (131, 132), (1, 1), (7, 3), (516, 9)):
        rows, columns = (torch.arange(side, dtype=torch.float32) for side in size)
        image = torch.stack([rows[:, None].expand(size), columns[None].expand(size)])[None]
        assert torch.equal(unet(image), image)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("path", ["skip", "bottleneck"])
def test_the_network_moves_no_pixel_on_either_path(path: str, depth: int, padding: Literal["same", "valid"]) -> None:
    """Weights of 1 in the middle of each kernel: the skip connection returns the image, the bottleneck its blocks."""
    unet = UNet(ModelConfig(base=1, depth=depth, padding=padding, norm="none", in_channels=1)).eval()
    for parameter in unet.parameters():
        torch.nn.init.zeros_(parameter)
    for level in (*unet.down, unet.bottleneck, *unet.up):
        for convolution in (level[0], level[2]):
            convolution.weight.data[0, 0, 1, 1] = 1
    if path == "bottleneck":
        for raise_, level in zip(unet.raise_, unet.up, strict=True):
            raise_.weight.data[0, 0] = 1
            level[0].weight.data[0, :, 1, 1] = 0
            level[0].weight.data[0, level[0].in_channels // 2, 1, 1] = 1  # after the channels of the skip connection
    unet.classify.weight.data[:] = 1
    for size in (33, 48, 61):
        image = torch.rand(1, 1, size, size)
        if path == "skip":
            assert torch.equal(unet(image), image)
            continue
        points = [size // 2 + shift for shift in range(2**depth)]
        centres = []
        for point in points:  # a bright pixel becomes a block that holds it; on the whole the blocks are centred on it
            image = torch.zeros(1, 1, size, size)
            image[..., point, point] = 1
            found = torch.nonzero(unet(image)[0, 0]).double()
            assert found.min() <= point <= found.max()
            assert len(found) == 4**depth
            centres.append(found.mean(0))
        assert torch.stack(centres).mean(0).tolist() == [sum(points) / len(points)] * 2


@pytest.mark.parametrize("size", [(64, 64), (33, 47)])
def test_every_resize_of_a_valid_output_gives_the_same_bits(size: tuple[int, int]) -> None:
    first, *others = [
        UNet(ModelConfig(base=2, depth=3, padding="valid", output_resize=each)).eval() for each in RESIZES
    ]
    image = torch.rand(1, 3, *size)
    for other in others:
        other.load_state_dict(first.state_dict())
        assert torch.equal(first(image), other(image))


def test_a_mirrored_valid_output_equals_the_convolutions_of_the_mirrored_image() -> None:
    unet = UNet(ModelConfig(base=2, depth=2, padding="valid", norm="none")).eval()
    image = torch.rand(1, 3, 20, 20)
    side = valid_input(20, 2)
    before = (side - 20) // 2
    padded = np.pad(image.numpy(), [(0, 0), (0, 0), *[(before, side - 20 - before)] * 2], mode="reflect")
    torch.testing.assert_close(unet(image), unet.convolve(torch.from_numpy(padded)))


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 4), (7, 3), (40, 25)])
def test_mirror_equals_numpys_reflect_for_any_padding(rows: int, columns: int) -> None:
    x = torch.rand(2, 3, 5, 8)
    pads = [(0, 0), (0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    np.testing.assert_array_equal(mirror(x, rows, columns).numpy(), np.pad(x.numpy(), pads, mode="reflect"))


def test_the_computed_valid_sizes_are_those_of_the_network() -> None:
    unet = UNet(ModelConfig(base=1, depth=2, padding="valid", norm="none"))
    for size in range(1, 30):
        side = valid_input(size, 2)
        assert unet.convolve(torch.rand(1, 3, side, side)).shape[-1] == valid_output(side, 2) >= size
        assert valid_output(side - 4, 2) < size


def test_three_classes_train_a_step_and_their_softmax_sums_to_one() -> None:
    unet = UNet(ModelConfig(base=4, depth=2, classes=3))
    images, masks = torch.rand(2, 3, 16, 16), torch.randint(0, 3, (2, 16, 16))
    optimizer = torch.optim.Adam(unet.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        logits = unet(images)
        assert logits.shape == (2, 3, 16, 16)
        torch.testing.assert_close(probabilities(logits).sum(1), torch.ones(2, 16, 16))
        each = sample_losses(logits, masks, "bce")
        torch.testing.assert_close(each.mean(), torch.nn.functional.cross_entropy(logits, masks))
        each.mean().backward()
        optimizer.step()
        losses.append(each.mean().item())
    assert losses[-1] < losses[0]


def test_one_class_losses_are_cross_entropy_and_dice_of_each_sample() -> None:
    logits, masks = torch.randn(3, 1, 6, 7), torch.randint(0, 2, (3, 6, 7), dtype=torch.uint8)
    p, t = torch.sigmoid(logits[:, 0]).double().numpy(), masks.numpy().astype(float)
    bce = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean((1, 2))
    dice = 1 - (2 * (p * t).sum((1, 2)) + 1) / ((p + t).sum((1, 2)) + 1)
    np.testing.assert_allclose(sample_losses(logits, masks, "bce").numpy(), bce, rtol=1e-5)
    np.testing.assert_allclose(sample_losses(logits, masks, "bce_dice").numpy(), bce + dice, rtol=1e-5)


@pytest.mark.parametrize(("padding", "depth"), [("same", 1), ("same", 4), ("same", 5), ("valid", 1), ("valid", 3)])
def test_exactly_the_batches_that_pytorch_cannot_normalise_are_refused(padding: str, depth: int) -> None:
    model = ModelConfig(base=1, depth=depth, padding=padding)  # type: ignore[arg-type]
    unet = UNet(model)
    for height, width in ((16, 16), (17, 9), (16, 33), (32, 32), (33, 20)):
        for batch_size, images in ((1, 6), (5, 6), (6, 7), (4, 6), (3, 6)):
            last = images % batch_size or batch_size
            try:
                unet(torch.rand(last, 3, height, width))
                fits = True
            except ValueError as error:
                assert "more than 1 value per channel" in str(error)  # noqa: PT017
                fits = False
            assert fits == (one_value_problem(model, batch_size, images, max(height, width)) is None)


@pytest.mark.parametrize(("trainer", "momentum"), [(TrainerConfig(), 0.9), (TrainerConfig(momentum=0.5), 0.5)])
def test_sgd_has_the_momentum_of_the_config(trainer: TrainerConfig, momentum: float) -> None:
    model = ModelConfig(base=2, depth=1)
    config = TrialConfig(DataConfig("d"), 1, 1, 1e-3, model, replace(trainer, optimizer="sgd"))
    [group] = Segmentation(config, 1).configure_optimizers().param_groups
    assert group["momentum"] == momentum
