/**
 * The keeper of one container: a small shell that outlives the server, waits for the container's first process and writes its
 * exit status to files. It forks exactly once: its child is process 1 of the container's process namespace, and after that one
 * has ended the kernel lets no more be born there, so everything else is done by the shell itself.
 *
 * Files in its directory: `pid` ("keeper first\n"), `exit` ("status\n"), `drained` once all output is in `stdout` and `stderr`.
 * Every file is written in one write and ends with a newline, so a reader knows when it is complete.
 * SIGUSR1 closes the container's standard input. It is passed on as descriptor 6, because a shell gives what it starts in the
 * background an empty one.
 */
export const keeperScript = `exec 6<&0
perl "$1" "$2" <&6 4<&- 5<&- 6<&- &
first=$!
echo "$$ $first" >pid
exec 3>&- 6<&- 0</dev/null >/dev/null 2>&1
trap 'closed=1; exec 4<&-' USR1
while :; do
  closed=
  wait "$first"
  status=$?
  [ "$closed$status" = 1138 ] || break
done
echo "$status" >exit
read -r _ <&5
echo >drained
`;

/** The first process of a process namespace that the containers of a pod share: adopts and buries orphans. */
export const pauseScript = `trap 'exit 0' TERM INT
while :; do
  sleep 2147483647 &
  wait
done
`;
