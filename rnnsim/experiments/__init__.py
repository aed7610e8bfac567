"""Many runs, arranged into labelled datasets."""
