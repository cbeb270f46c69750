# Runs a server that ends with the process that holds the other end of standard input.
# $1: the server's directory; the rest: the server's command line.
home=$1
shift
# Standard input is kept elsewhere: what runs asynchronously gets /dev/null for it.
exec 3<&0 </dev/null
# Twice forked: it must be no child of the server, which this shell becomes.
( (
    # A line says that the server has ended; end of file, that nobody is left to end it.
    if read -r _ <&3; then exit 0; fi
    kill -s QUIT $$
    # The file goes with the last of the server's processes. The process alone is no sign: it may stay as a zombie.
    rounds=100
    while [ "$rounds" -gt 0 ] && [ -e "$home/data/postmaster.pid" ] && kill -s 0 $$; do
        sleep 0.1
        rounds=$((rounds - 1))
    done
    kill -s KILL $$
    cd / && { rm -rf -- "$home" || { sleep 1; rm -rf -- "$home"; }; }
) 2>/dev/null & )
exec "$@" 3<&-
