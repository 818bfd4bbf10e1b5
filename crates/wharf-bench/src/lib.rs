//! Open-loop HTTP load with coordinated-omission-free latency.
