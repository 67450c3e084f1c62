# Asks the agent `analytics` for the figures of two regions, of which it knows one, and tells of an order.
werkpilot request analytics '{"region": "north"}'
werkpilot request analytics '{"region": "atlantis"}' || echo "no figures: exit code $?"
werkpilot pub orders.new '{"id": 7}'
