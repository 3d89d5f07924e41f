"""Features → masks that nobody asked for: attention maps, spectral clustering, seeds; scored and ranked."""
