# Writes down all orders: a line for each message.
werkpilot sub 'orders.*' --raw | while read -r order; do
    echo "order $order"
done
