"""From a campaign file to units: headers, options, forecast, execution and status."""
