# Tells what a region sold: the question is on stdin, the answer on stdout.
question=$(cat)
case $question in
*'"north"'*) echo '{"orders": 120, "eur": 48200}' ;;
*'"south"'*) echo '{"orders": 75, "eur": 31500}' ;;
*)
    echo "no such region: $question" >&2
    exit 1
    ;;
esac
