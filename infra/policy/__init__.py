"""What every manifest of Slipway must hold, as pure rules for the policy pack, mock tests and chart tests."""
