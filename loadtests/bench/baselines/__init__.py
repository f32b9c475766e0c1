"""What the payload is compared with: whole programs, each as somebody would write it who knows the library well."""
