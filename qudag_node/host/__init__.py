"""What the kernel tells: TCP_INFO, /proc. It knows neither peers nor messages."""

from qudag_node.host.process import ProcessSample, ProcessSampler
from qudag_node.host.tcp_info import TcpInfo, parse_tcp_info, tcp_info, unacknowledged_bytes

__all__ = ["ProcessSample", "ProcessSampler", "TcpInfo", "parse_tcp_info", "tcp_info", "unacknowledged_bytes"]
