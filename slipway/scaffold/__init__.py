"""The files of a repository whose service is put on the platform: `slipway init`."""
