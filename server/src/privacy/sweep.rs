//! Which buckets are due for destruction.
