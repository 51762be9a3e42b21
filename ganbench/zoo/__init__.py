"""The built-in components. Each imports :mod:`ganbench.api` and torch, nothing else of the harness."""

COMPONENTS: dict[str, dict[str, str]] = {
    "architecture": {
        "dcgan": "ganbench.zoo.architecture.dcgan:DCGAN",
        "sagan": "ganbench.zoo.architecture.sagan:SAGAN",
        "sngan": "ganbench.zoo.architecture.sngan:SNGAN",
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
    "dataset": {
        "digits": "ganbench.zoo.dataset.digits:digits",
    },
    "extractor": {
        "cnn-digits": "ganbench.zoo.extractor.cnn_digits:cnn_digits",
    },
    "loss": {
        "hinge": "ganbench.zoo.loss.hinge:Hinge",
        "least-squares": "ganbench.zoo.loss.least_squares:LeastSquares",
        "nonsaturating": "ganbench.zoo.loss.nonsaturating:NonSaturating",
        "wasserstein": "ganbench.zoo.loss.wasserstein:Wasserstein",
    },
    "normalizer": {
        "batch": "ganbench.zoo.normalizer.batch:Batch",
        "conditional-batch": "ganbench.zoo.normalizer.conditional_batch:ConditionalBatch",
        "none": "ganbench.zoo.normalizer.none:no_normalizer",
        "spectral": "ganbench.zoo.normalizer.spectral:spectral",
    },
}
"""kind -> name -> ``module:attribute``, imported on use."""
