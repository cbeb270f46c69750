# Removes a directory when the process that holds the other end of standard input has ended without doing so.
# $1: the directory, which may not exist yet.
home=$1
# A line says that the directory is gone; end of file, that nobody is left to remove it.
if read -r _; then exit 0; fi
# What runs in the directory ends first, by its own watchdog, and writes until then.
rounds=100
while [ "$rounds" -gt 0 ] && [ -e "$home/data/postmaster.pid" ]; do
    sleep 0.1
    rounds=$((rounds - 1))
done
rounds=100
until rm -rf -- "$home" 2>/dev/null || [ "$rounds" -eq 0 ]; do
    sleep 0.1
    rounds=$((rounds - 1))
done
