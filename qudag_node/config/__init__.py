"""The settings of a node, and the one loader that fills them: defaults, file, environment, flags."""

from qudag_node.config.loader import LoadedConfig, Setting, load_config, settings
from qudag_node.config.settings import (
    HistoryConfig,
    LabConfig,
    LogConfig,
    MetricsConfig,
    NodeConfig,
    OverlayConfig,
    ProcessConfig,
    RpcConfig,
    TestsConfig,
)
from qudag_node.config.template import (
    config_document,
    config_lines,
    config_page,
    config_template,
    config_tree,
)

__all__ = [
    "HistoryConfig",
    "LabConfig",
    "LoadedConfig",
    "LogConfig",
    "MetricsConfig",
    "NodeConfig",
    "OverlayConfig",
    "ProcessConfig",
    "RpcConfig",
    "Setting",
    "TestsConfig",
    "config_document",
    "config_lines",
    "config_page",
    "config_template",
    "config_tree",
    "load_config",
    "settings",
]
