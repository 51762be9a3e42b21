"""Extractors that cost little, and what both libraries' front doors say of the same images."""

from __future__ import annotations

import warnings

import cleanfid.fid
import torch
import torch_fidelity
from PIL import Image
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

from ganbench.api import CLEAN_RESIZE, ExtractorCard, clean_resize_strict
from ganbench.evaluate.features import feature_layers
from ganbench.spec import MetricSettings
from ganbench.zoo.extractor.digits_classifier import CNNDigits

SETTINGS = MetricSettings(isc_splits=5, kid_subsets=20, kid_subset_size=100, prc_k=3)


class Exact(CNNDigits):
    """The digits' classifier in float64: what it gives does not depend on how images are batched."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list, **kwargs)
        self.double()


class Tiny(FeatureExtractorBase):
    """Another of torch-fidelity's extractors: the means of patches, of images of any size."""

    card = ExtractorCard(weights_sha256="", resize="none", resolutions=None, inception=True)

    def __init__(self, name, features_list, **_):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return ("patches",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return {"isc": "patches", "fid": "patches", "kid": "patches", "prc": "patches"}[metric]

    def forward(self, images):
        return (torch.nn.functional.adaptive_avg_pool2d(images.double() / 64, 2).flatten(1),)


class Resizing(Tiny):
    """One that says it resizes, and has other features for clean-fid: of one half of the places."""

    card = ExtractorCard(weights_sha256="", resize="bilinear", resolutions=None, inception=True)

    def clean_features(self, images):
        assert images.dtype == torch.uint8
        return super().forward(images[..., ::2])[0]


class StrictlyResizing(Resizing):
    """One that offers clean-fid's resize, by clean-fid itself."""

    def clean_features(self, images):
        return Tiny.forward(self, clean_resize_strict(images))[0]


class OnlyResizing(Tiny):
    """One that resizes and takes nothing else."""

    card = ExtractorCard(weights_sha256="", resize="bilinear", resolutions=None, inception=False)


class CleanResizing(Tiny):
    """One that says its own resize is clean-fid's."""

    card = ExtractorCard(weights_sha256="", resize=CLEAN_RESIZE, resolutions=None, inception=True)


def made(cls, *, layers=None):
    """One that torch-fidelity knows too, by its name."""
    name = f"test-{cls.__name__.lower()}"
    if name not in FEATURE_EXTRACTORS_REGISTRY:
        torch_fidelity.register_feature_extractor(name, cls)
    return cls(name, layers or feature_layers(cls))


class _Images(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def by_torch_fidelity(extractor, fake, real, settings=SETTINGS):
    """What torch-fidelity's front door says of the same images."""
    with torch.random.fork_rng(devices=[]):
        return torch_fidelity.calculate_metrics(
            input1=_Images(fake),
            input2=_Images(real),
            feature_extractor=extractor.get_name(),
            isc=True,
            fid=True,
            kid=True,
            prc=True,
            isc_splits=settings.isc_splits,
            kid_subsets=settings.kid_subsets,
            kid_subset_size=settings.kid_subset_size,
            prc_neighborhood=settings.prc_k,
            cuda=False,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )


def by_clean_fid(model, fake, real, folder, **options):
    """What clean-fid's front door says of the same images, as PNG files."""
    for name, images in (("fake", fake), ("real", real)):
        (folder / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / name / f"{index:04}.png")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `disp` argument is deprecated", DeprecationWarning)
        return cleanfid.fid.compute_fid(
            str(folder / "fake"),
            str(folder / "real"),
            mode="clean",
            custom_feat_extractor=model,
            num_workers=0,
            device=torch.device("cpu"),
            verbose=False,
            use_dataparallel=False,
            **options,
        )
