module slipway.dev/toolchain/pause

go 1.24.0
