"""Forward passes written from the entries of published files alone, to compare ours with: no modules, no shared code.

`w` maps torchvision's names to tensors (timm's in `timm_mbconv`, EfficientNet-PyTorch's in `efficientnet_lite`);
everything is in eval mode.
"""

import re

import torch
import torch.nn.functional as F


def conv(w, name, x, **geometry):
    return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **geometry)


def norm(w, name, x, eps=1e-5):
    statistics = (w[f"{name}.running_mean"], w[f"{name}.running_var"])
    return F.batch_norm(x, *statistics, w[f"{name}.weight"], w[f"{name}.bias"], eps=eps)


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def alexnet(w, x):
    x = F.max_pool2d(F.relu(conv(w, "features.0", x, stride=4, padding=2)), 3, 2)
    x = F.max_pool2d(F.relu(conv(w, "features.3", x, padding=2)), 3, 2)
    for index in (6, 8, 10):
        x = F.relu(conv(w, f"features.{index}", x, padding=1))
    x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), 6).flatten(1)
    x = F.relu(linear(w, "classifier.1", x))
    return linear(w, "classifier.6", F.relu(linear(w, "classifier.4", x)))


def vgg(w, x):
    """Every index between two layers is a ReLU, and where one more is skipped a max pool has it."""
    last = max(int(name.split(".")[1]) for name in w if name.startswith("features."))
    batch_norm = "features.1.running_mean" in w
    index = 0
    while index <= last:
        x = conv(w, f"features.{index}", x, padding=1)
        index += 1
        if batch_norm:
            x = norm(w, f"features.{index}", x)
            index += 1
        x = F.relu(x)
        index += 1
        if f"features.{index}.weight" not in w:
            x = F.max_pool2d(x, 2)
            index += 1
    x = F.adaptive_avg_pool2d(x, 7).flatten(1)
    x = F.relu(linear(w, "classifier.3", F.relu(linear(w, "classifier.0", x))))
    return linear(w, "classifier.6", x)


def resnet(w, x):
    x = F.relu(norm(w, "bn1", conv(w, "conv1", x, stride=2, padding=3)))
    x = F.max_pool2d(x, 3, 2, padding=1)
    for layer in range(1, 5):
        blocks = {int(name.split(".")[1]) for name in w if name.startswith(f"layer{layer}.")}
        for block in sorted(blocks):
            x = residual(w, f"layer{layer}.{block}", x, stride=2 if layer > 1 and block == 0 else 1)
    return linear(w, "fc", x.mean(dim=(2, 3)))


def residual(w, name, x, stride):
    if f"{name}.conv3.weight" in w:
        y = F.relu(norm(w, f"{name}.bn1", conv(w, f"{name}.conv1", x)))
        y = F.relu(norm(w, f"{name}.bn2", conv(w, f"{name}.conv2", y, stride=stride, padding=1)))
        y = norm(w, f"{name}.bn3", conv(w, f"{name}.conv3", y))
    else:
        y = F.relu(norm(w, f"{name}.bn1", conv(w, f"{name}.conv1", x, stride=stride, padding=1)))
        y = norm(w, f"{name}.bn2", conv(w, f"{name}.conv2", y, padding=1))
    if f"{name}.downsample.0.weight" in w:
        x = norm(w, f"{name}.downsample.1", conv(w, f"{name}.downsample.0", x, stride=stride))
    return F.relu(y + x)


def googlenet(w, x, transform_input=False):
    def block(name, x, **geometry):
        return F.relu(norm(w, f"{name}.bn", conv(w, f"{name}.conv", x, **geometry), eps=0.001))

    def pool(x, size=3):
        return F.max_pool2d(x, size, 2, ceil_mode=True)

    if transform_input:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = x * (std / 0.5)[:, None, None] + ((mean - 0.5) / 0.5)[:, None, None]
    x = pool(block("conv1", x, stride=2, padding=3))
    x = pool(block("conv3", block("conv2", x), padding=1))
    for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        if name in ("4a", "5a"):
            x = pool(x, 3 if name == "4a" else 2)
        module = f"inception{name}"
        branches = [block(f"{module}.branch1", x)]
        for branch in ("branch2", "branch3"):
            branches.append(block(f"{module}.{branch}.1", block(f"{module}.{branch}.0", x), padding=1))
        branches.append(block(f"{module}.branch4.1", F.max_pool2d(x, 3, 1, padding=1, ceil_mode=True)))
        x = torch.cat(branches, 1)
    return linear(w, "fc", x.mean(dim=(2, 3)))


STRIDES = (1, 2, 2, 2, 1, 2, 1)


def efficientnet(w, x, eps=1e-5):
    def block(name, x, **geometry):
        return norm(w, f"{name}.1", conv(w, f"{name}.0", x, **geometry), eps)

    x = F.silu(block("features.0", x, stride=2, padding=1))
    for stage, stride in enumerate(STRIDES, start=1):
        for index in sorted({int(n.split(".")[2]) for n in w if re.match(rf"features\.{stage}\.\d", n)}):
            name = f"features.{stage}.{index}.block"
            y, part = x, 0
            if f"{name}.3.0.weight" in w:
                y, part = F.silu(block(f"{name}.0", y)), 1
            kernel = w[f"{name}.{part}.0.weight"]
            geometry = {"groups": len(kernel), "padding": kernel.shape[-1] // 2, "stride": 1 if index else stride}
            y = F.silu(block(f"{name}.{part}", y, **geometry))
            gate = F.silu(conv(w, f"{name}.{part + 1}.fc1", y.mean(dim=(2, 3), keepdim=True)))
            y = y * torch.sigmoid(conv(w, f"{name}.{part + 1}.fc2", gate))
            y = block(f"{name}.{part + 2}", y)
            x = y + x if y.shape == x.shape and not (index == 0 and stride == 2) else y
    x = F.silu(block("features.8", x))
    return linear(w, "classifier.1", x.mean(dim=(2, 3)))


def mobilenet_v2(w, x):
    def block(name, x, **geometry):
        return norm(w, f"{name}.1", conv(w, f"{name}.0", x, **geometry))

    last = max(int(name.split(".")[1]) for name in w if name.startswith("features."))
    x = F.relu6(block("features.0", x, stride=2, padding=1))
    for index, name in enumerate((f"features.{number}.conv" for number in range(1, last)), start=1):
        expands = f"{name}.3.weight" in w
        y = F.relu6(block(f"{name}.0", x)) if expands else x
        stride = 2 if index in (2, 4, 7, 14) else 1
        y = F.relu6(block(f"{name}.{int(expands)}", y, stride=stride, padding=1, groups=y.shape[1]))
        y = norm(w, f"{name}.{2 + expands}", conv(w, f"{name}.{1 + expands}", y))
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = F.relu6(block(f"features.{last}", x))
    return linear(w, "classifier.1", x.mean(dim=(2, 3)))


def same(x, kernel, stride):
    """TensorFlow's SAME, as its manual states it for one axis, on both; `kernel` and `stride` for both or (H, W)."""
    kernels, strides = ((v, v) if isinstance(v, int) else v for v in (kernel, stride))
    amounts = []
    for side, k, s in zip(x.shape[:1:-1], kernels[::-1], strides[::-1], strict=True):
        total = max(k - (s if side % s == 0 else side % s), 0)
        amounts += [total // 2, total - total // 2]
    return F.pad(x, amounts)


def efficientnet_lite(w, x):
    def block(number, part, x, index, **geometry):
        return norm(w, f"_blocks.{number}._bn{index}", conv(w, f"_blocks.{number}._{part}_conv", x, **geometry), 1e-3)

    x = F.relu6(norm(w, "_bn0", conv(w, "_conv_stem", same(x, 3, 2), stride=2), 1e-3))
    stage, width = -1, None
    for number in range(1 + max(int(name.split(".")[1]) for name in w if name.startswith("_blocks."))):
        begins = len(w[f"_blocks.{number}._project_conv.weight"]) != width
        width, stage = len(w[f"_blocks.{number}._project_conv.weight"]), stage + begins
        kernel = w[f"_blocks.{number}._depthwise_conv.weight"]
        stride = STRIDES[stage] if begins else 1
        y = F.relu6(block(number, "expand", x, 0)) if f"_blocks.{number}._expand_conv.weight" in w else x
        y = same(y, kernel.shape[-1], stride)
        y = F.relu6(block(number, "depthwise", y, 1, stride=stride, groups=len(kernel)))
        y = block(number, "project", y, 2)
        x = y if begins else x + y
    x = F.relu6(norm(w, "_bn1", conv(w, "_conv_head", x), 1e-3))
    return linear(w, "_fc", x.mean(dim=(2, 3)))


def timm_mbconv(w, x, activate=F.silu, eps=1e-5, strides=STRIDES, tensorflow=False):
    def strided(name, x, kernel, stride, **geometry):
        if tensorflow:
            return conv(w, name, same(x, kernel, stride), stride=stride, **geometry)
        return conv(w, name, x, stride=stride, padding=kernel // 2, **geometry)

    x = activate(norm(w, "bn1", strided("conv_stem", x, 3, 2), eps))
    for stage, stride in enumerate(strides):
        for index in sorted({int(n.split(".")[2]) for n in w if n.startswith(f"blocks.{stage}.")}):
            name = f"blocks.{stage}.{index}"
            expands = f"{name}.conv_pwl.weight" in w
            y = activate(norm(w, f"{name}.bn1", conv(w, f"{name}.conv_pw", x), eps)) if expands else x
            kernel = w[f"{name}.conv_dw.weight"]
            y = strided(f"{name}.conv_dw", y, kernel.shape[-1], 1 if index else stride, groups=len(kernel))
            y = activate(norm(w, f"{name}.bn{1 + expands}", y, eps))
            if f"{name}.se.conv_reduce.weight" in w:
                gate = activate(conv(w, f"{name}.se.conv_reduce", y.mean(dim=(2, 3), keepdim=True)))
                y = y * torch.sigmoid(conv(w, f"{name}.se.conv_expand", gate))
            y = conv(w, f"{name}.conv_pwl" if expands else f"{name}.conv_pw", y)
            y = norm(w, f"{name}.bn{2 + expands}", y, eps)
            x = y + x if y.shape == x.shape and not (index == 0 and stride == 2) else y
    x = activate(norm(w, "bn2", conv(w, "conv_head", x), eps))
    return linear(w, "classifier", x.mean(dim=(2, 3)))
