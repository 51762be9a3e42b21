"""The weight files of the built-in extractors, as their publishers give them.

None of them is shipped and none is ever downloaded here: the user fetches a file once, at the address stated, and
hands it over with ``ganbench weights add``. Addresses are those in torch-fidelity 0.4.0, clean-fid 0.1.35 and
DINOv2's model hub. The sha256 of CLIP's files stand in torch-fidelity's source and in their addresses, those of
the others were read from several independent records of the published files; where there is none to be trusted it
is None, and the file is loaded with --allow-unverified-weights alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedWeights:
    """A weight file that anyone can fetch."""

    file: str
    """Its name: the last part of the address, and under which it lies in the folder of weights."""
    url: str
    sha256: str | None
    """Of its content; None where no publisher states it."""
    size: int | None = None
    """In bytes; None where it is not known for certain."""


INCEPTION = (
    PublishedWeights(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        95_628_359,
    ),
    PublishedWeights(
        "inception-2015-12-05.pt",
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        95_607_719,
    ),
)
"""The same network twice: a state dict of torch-fidelity's, and the scripted module that clean-fid runs."""


def _clip(file: str, sha256: str) -> PublishedWeights:
    return PublishedWeights(file, f"https://openaipublic.azureedge.net/clip/models/{sha256}/{file}", sha256)


def _dinov2(model: str, sha256: str | None, size: int | None = None) -> PublishedWeights:
    file = f"{model}_pretrain.pth"
    return PublishedWeights(file, f"https://dl.fbaipublicfiles.com/dinov2/{model}/{file}", sha256, size)


PUBLISHED: dict[str, tuple[PublishedWeights, ...]] = {
    "inception": INCEPTION,
    "inception-clean": INCEPTION,
    "vgg16": (
        PublishedWeights(
            "vgg16-397923af.pth",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            553_433_881,
        ),
    ),
    "clip-rn50": (_clip("RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),),
    "clip-rn101": (_clip("RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),),
    "clip-rn50x4": (_clip("RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),),
    "clip-rn50x16": (_clip("RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),),
    "clip-rn50x64": (_clip("RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"),),
    "clip-vit-b-32": (_clip("ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),),
    "clip-vit-b-16": (_clip("ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),),
    "clip-vit-l-14": (_clip("ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),),
    "clip-vit-l-14-336px": (
        _clip("ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
    ),
    "dinov2-vit-s-14": (
        _dinov2("dinov2_vits14", "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9", 88_283_115),
    ),
    "dinov2-vit-b-14": (_dinov2("dinov2_vitb14", "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),),
    "dinov2-vit-l-14": (
        _dinov2("dinov2_vitl14", "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428", 1_217_586_395),
    ),
    "dinov2-vit-g-14": (_dinov2("dinov2_vitg14", None),),
}
"""By extractor: the files of which any one will do, the preferred first."""


def published_weights(extractor: str) -> tuple[PublishedWeights, ...]:
    """The files of a built-in extractor; KeyError for one that takes none."""
    return PUBLISHED[extractor]
