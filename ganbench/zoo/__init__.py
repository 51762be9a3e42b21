"""The built-in components. Each imports :mod:`ganbench.api` and torch, nothing else of the harness."""

COMPONENTS: dict[str, dict[str, str]] = {
    "architecture": {
        "biggan": "ganbench.zoo.architecture.biggan:BigGAN",
        "dcgan": "ganbench.zoo.architecture.dcgan:DCGAN",
        "sagan": "ganbench.zoo.architecture.sagan:SAGAN",
        "sngan": "ganbench.zoo.architecture.sngan:SNGAN",
        "sngan-cnn": "ganbench.zoo.architecture.sngan_cnn:SNGANCNN",
        "wgan-gp": "ganbench.zoo.architecture.wgan_gp:WGANGP",
    },
    "attention": {
        "linear": "ganbench.zoo.attention.linear:LinearAttention",
        "multi-head": "ganbench.zoo.attention.multi_head:MultiHeadAttention",
        "none": "ganbench.zoo.attention.none:NoAttention",
        "residual": "ganbench.zoo.attention.residual:Residual",
        "residual-gated": "ganbench.zoo.attention.residual_gated:GatedResidual",
        "self": "ganbench.zoo.attention.self_attention:SelfAttention",
        "self-paper": "ganbench.zoo.attention.self_paper:SelfAttentionPaper",
        "squeeze-excite": "ganbench.zoo.attention.squeeze_excite:SqueezeExcite",
    },
    "augmentation": {
        "diffaugment": "ganbench.zoo.augmentation.diffaugment:DiffAugment",
        "none": "ganbench.zoo.augmentation.none:NoAugmentation",
    },
    "dataset": {
        "digits": "ganbench.zoo.dataset.digits:digits",
    },
    "extractor": {
        "cnn-digits": "ganbench.zoo.extractor.cnn_digits:cnn_digits",
        "inception": "ganbench.zoo.extractor.inception:inception",
        "inception-clean": "ganbench.zoo.extractor.inception:inception_clean",
    },
    "loss": {
        "hinge": "ganbench.zoo.loss.hinge:Hinge",
        "least-squares": "ganbench.zoo.loss.least_squares:LeastSquares",
        "minimax": "ganbench.zoo.loss.minimax:Minimax",
        "nonsaturating": "ganbench.zoo.loss.nonsaturating:NonSaturating",
        "relativistic-hinge": "ganbench.zoo.loss.relativistic_hinge:RelativisticHinge",
        "relativistic-paired": "ganbench.zoo.loss.relativistic_paired:RelativisticPaired",
        "wasserstein": "ganbench.zoo.loss.wasserstein:Wasserstein",
    },
    "normalizer": {
        "batch": "ganbench.zoo.normalizer.batch:Batch",
        "conditional-batch": "ganbench.zoo.normalizer.conditional_batch:ConditionalBatch",
        "group": "ganbench.zoo.normalizer.group:Group",
        "instance": "ganbench.zoo.normalizer.instance:Instance",
        "layer": "ganbench.zoo.normalizer.layer:Layer",
        "none": "ganbench.zoo.normalizer.none:no_normalizer",
        "self-modulated": "ganbench.zoo.normalizer.self_modulated:SelfModulated",
        "spectral": "ganbench.zoo.normalizer.spectral:spectral",
        "weight": "ganbench.zoo.normalizer.weight:weight",
    },
    "regularizer": {
        "consistency": "ganbench.zoo.regularizer.consistency:Consistency",
        "dragan": "ganbench.zoo.regularizer.dragan:DRAGAN",
        "gradient-penalty": "ganbench.zoo.regularizer.gradient_penalty:GradientPenalty",
        "lecam": "ganbench.zoo.regularizer.lecam:LeCam",
        "r1": "ganbench.zoo.regularizer.r1:R1",
        "r2": "ganbench.zoo.regularizer.r2:R2",
        "zero-centered": "ganbench.zoo.regularizer.zero_centered:ZeroCentered",
    },
}
"""kind -> name -> ``module:attribute``, imported on use."""
