"""List prices of us-east-1 in dollars, November 2026, without free tiers."""

MILLION = 1_000_000

PRICES = {
    "Lambda GB-second": 0.0000133334,
    "Lambda request": 0.20 / MILLION,
    "HTTP API request": 1.00 / MILLION,
    "WebSocket message": 1.00 / MILLION,
    "WebSocket minute": 0.25 / MILLION,
    "SQS FIFO request": 0.50 / MILLION,
    "DynamoDB write": 0.625 / MILLION,
    "DynamoDB read": 0.125 / MILLION,
    "db.t4g.micro hour": 0.016,
    "db.t4g.medium hour": 0.065,
    "db.r7g.large hour": 0.239,
    "database GB-month": 0.115,
    "proxy vCPU-hour": 0.015,
    "NAT hour": 0.045 + 0.005,
    "NAT GB": 0.045,
    "secret": 0.40,
    "key": 1.00,
    "alarm": 0.10,
    "log GB": 0.50,
    "trace": 5.00 / MILLION,
    "prompt token": 0.25 / MILLION,
    "completion token": 2.00 / MILLION,
}
