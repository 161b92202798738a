"""The types that a stored scikit-learn model may hold, beyond those that skops trusts by itself.

One list for both ends: a model that the loader would refuse is refused when it is packed. Each entry is a class of
numbers or a function over them; none reads files, starts processes, imports by name or evaluates text. skops trusts
scikit-learn's public estimators, NumPy's types and universal functions, and plain containers.
"""

_CALIBRATION = ("_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling")
_DISTANCES = (
    "BrayCurtisDistance", "CanberraDistance", "ChebyshevDistance", "DiceDistance", "EuclideanDistance",
    "HammingDistance", "HaversineDistance", "JaccardDistance", "ManhattanDistance", "MinkowskiDistance",
    "RogersTanimotoDistance", "RussellRaoDistance", "SEuclideanDistance", "SokalSneathDistance",
)  # fmt: skip
_KERNELS = (
    "CompoundKernel", "ConstantKernel", "DotProduct", "Exponentiation", "ExpSineSquared", "Hyperparameter", "Matern",
    "PairwiseKernel", "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
)  # fmt: skip
_LOSSES = (
    "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss", "HalfPoissonLoss",
    "HalfSquaredError", "HalfTweedieLoss", "HalfTweedieLossIdentity", "HuberLoss", "PinballLoss",
)  # fmt: skip
_CYTHON_LOSSES = (
    "CyAbsoluteError", "CyExponentialLoss", "CyHalfBinomialLoss", "CyHalfGammaLoss", "CyHalfMultinomialLoss",
    "CyHalfPoissonLoss", "CyHalfSquaredError", "CyHalfTweedieLoss", "CyHalfTweedieLossIdentity", "CyHuberLoss",
    "CyPinballLoss",
)  # fmt: skip
_LINKS = ("HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
_SELECTIONS = ("chi2", "f_classif", "f_oneway", "f_regression", "r_regression")
_SCORES = (
    "_classification.accuracy_score", "_classification.brier_score_loss", "_classification.cohen_kappa_score",
    "_classification.f1_score", "_classification.fbeta_score", "_classification.jaccard_score",
    "_classification.log_loss", "_classification.matthews_corrcoef", "_classification.precision_score",
    "_classification.recall_score", "_ranking.average_precision_score", "_ranking.roc_auc_score",
    "_ranking.top_k_accuracy_score", "_regression.d2_absolute_error_score", "_regression.explained_variance_score",
    "_regression.max_error", "_regression.mean_absolute_error", "_regression.mean_absolute_percentage_error",
    "_regression.mean_gamma_deviance", "_regression.mean_pinball_loss", "_regression.mean_poisson_deviance",
    "_regression.mean_squared_error", "_regression.mean_squared_log_error", "_regression.median_absolute_error",
    "_regression.r2_score", "_regression.root_mean_squared_error", "_regression.root_mean_squared_log_error",
)  # fmt: skip
_SPLITS = (
    "GroupKFold", "GroupShuffleSplit", "KFold", "LeaveOneGroupOut", "LeaveOneOut", "PredefinedSplit", "RepeatedKFold",
    "RepeatedStratifiedKFold", "ShuffleSplit", "StratifiedGroupKFold", "StratifiedKFold", "StratifiedShuffleSplit",
    "TimeSeriesSplit", "_CVIterableWrapper",
)  # fmt: skip
_SPARSE = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")

ALLOWED_TYPES: frozenset[str] = frozenset(
    {
        "collections.OrderedDict",
        "collections.defaultdict",
        # Holds a function, which must stand on a list itself, and its arguments.
        "functools.partial",
        "numpy.dtype",
        "numpy.mean",
        "numpy.median",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.metrics._classification.balanced_accuracy_score",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._ball_tree.BallTree64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._kd_tree.KDTree64",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils.validation.check_array",
        *(f"sklearn.calibration.{name}" for name in _CALIBRATION),
        *(f"sklearn._loss.loss.{name}" for name in _LOSSES),
        *(f"sklearn._loss._loss.{name}" for name in _CYTHON_LOSSES),
        *(f"sklearn._loss.link.{name}" for name in _LINKS),
        *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
        *(f"sklearn.metrics._dist_metrics.{name}{bits}" for name in _DISTANCES for bits in ("", "32", "64")),
        *(f"sklearn.feature_selection._univariate_selection.{name}" for name in _SELECTIONS),
        *(f"sklearn.metrics.{name}" for name in _SCORES),
        *(f"sklearn.model_selection._split.{name}" for name in _SPLITS),
        *(f"scipy.sparse._{name}.{name}_{kind}" for name in _SPARSE for kind in ("matrix", "array")),
    }
)
"""By full name. What compiled code follows by number, such as a tree's nodes, ``check_bounds`` holds to its arrays."""


def is_allowed_type(name: str) -> bool:
    """Say whether a stored model may hold a type that skops does not trust by itself."""
    return name in ALLOWED_TYPES
