#!/bin/sh
# Everything that a page or a terminal could be tempted to obey.
echo "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
printf '\033[31mred\033[0m and \033]0;title\007 bell\n'
printf 'from \342\200\256left to right\342\200\254 again\n'
printf 'nul \000 byte and \377\376 no text\n'
printf '%s\n' '{{constructor.constructor("alert(1)")()}} ${alert(1)} javascript:alert(1)'
head -c 1000000 /dev/zero | tr '\0' 'x'
echo
echo "the <b>last</b> line" >&2
