#!/bin/bash
# A real job on a private server and two workers: compress and checksum a few thousand files of this machine, one task
# each, then verify and add up the results with a second array. Everything lives in one temporary directory and is gone
# at the end, also after Ctrl-C.
# usage: demo.sh DIRECTORY_OF_PROGRAMS [NUMBER_OF_FILES]
set -euo pipefail

bin=${1:?usage: demo.sh DIRECTORY_OF_PROGRAMS [NUMBER_OF_FILES]}
wanted=${2:-2400}
shards=16
hq=$bin/hq
here=$(mktemp -d "${TMPDIR:-/tmp}/hq-demo.XXXXXX")
daemons=()

finish()
{
    local status=$?
    trap '' INT TERM
    if [ ${#daemons[@]} -gt 0 ]; then
        "$hq" server stop >"$here/stop.log" 2>&1 || kill "${daemons[@]}" 2>/dev/null || true
        # Each of them ends by itself within seconds; what does not is ended.
        for pid in "${daemons[@]}"; do
            timeout 10 tail --pid="$pid" -f /dev/null || kill -9 "$pid" 2>/dev/null || true
            wait "$pid" 2>/dev/null || true
        done
    fi
    rm -rf "$here"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say()
{
    printf '\n== %s\n' "$*"
}

# Follow a job: a moving bar on a terminal, about ten lines elsewhere.
follow()
{
    if [ -t 1 ]; then
        "$hq" job progress "$1"
    else
        "$hq" job progress "$1" 2>/dev/null | awk -v step=10 '
            match($0, /[0-9]+\/[0-9]+ tasks/) {
                split(substr($0, RSTART, RLENGTH - 6), n, "/"); share = int(100 * n[1] / n[2] / step)
                if (!(share in seen)) { seen[share] = 1; print; fflush() } }'
    fi
}

export HQ_SERVER_DIR=$here/server
unset HQ_OUTPUT_MODE
cd "$here"
mkdir packed results shards

say "$wanted real files of this machine"
# Small enough that tasks are short: many short tasks are what this is made for.
{ find /usr/share /usr/lib /usr/include /usr/bin /etc -xdev -type f -size +0 -size -200k -readable ! -name $'*\n*' 2>/dev/null || true; } |
    head -n "$wanted" >files
count=$(wc -l <files)
if [ "$count" -lt 2000 ] && [ "$wanted" -ge 2000 ]; then
    { find / -xdev -type f -size +0 -size -200k -readable ! -name $'*\n*' ! -path '/proc/*' ! -path '/sys/*' 2>/dev/null || true; } |
        head -n "$wanted" >files
    count=$(wc -l <files)
fi
echo "$count files, the first: $(head -n 1 files)"

cat >pack <<'END'
#!/bin/sh
# One task: HQ_ENTRY is a path. What it prints is one line of the result.
set -e
sum=$(sha256sum <"$HQ_ENTRY")
gzip -c "$HQ_ENTRY" >"packed/$HQ_TASK_ID.gz"
echo "${sum%% *} $(stat -Lc %s "$HQ_ENTRY") $(stat -c %s "packed/$HQ_TASK_ID.gz")"
END
cat >reduce <<'END'
#!/bin/sh
# One task of the second array: unpack its share, compare checksums, add up.
set -e
files=0 bytes=0 packed=0 wrong=0
task=$HQ_TASK_ID
while [ "$task" -lt "$1" ]; do
    read -r sum size small <"results/$task"
    again=$(gzip -dc "packed/$task.gz" | sha256sum)
    [ "${again%% *}" = "$sum" ] || wrong=$((wrong + 1))
    files=$((files + 1)) bytes=$((bytes + size)) packed=$((packed + small)) task=$((task + $2))
done
echo "$files $bytes $packed $wrong"
END
chmod +x pack reduce

say "a private server and two workers"
setsid "$hq" server start >server.log 2>&1 &
daemons+=($!)
"$hq" server wait --timeout=20s 2>/dev/null || { cat server.log; exit 1; }
cpus=$(($(nproc) / 2))
for worker in 1 2; do
    setsid "$hq" worker start --cpus=$((cpus > 0 ? cpus : 1)) >"worker$worker.log" 2>&1 &
    daemons+=($!)
done
timeout 20 "$hq" worker wait 2 || { cat worker*.log; exit 1; }
"$hq" worker list

begin=$(date +%s%N)
say "one task per file: hq submit --each-line=files ./pack"
first=$("$hq" --output-mode=quiet submit --name=pack --each-line=files --stdout="results/%{TASK_ID}" --stderr=none ./pack 2>/dev/null)
follow "$first"
middle=$(date +%s%N)

say "a second array reduces the results: hq submit --array=0-$((shards - 1)) ./reduce"
second=$("$hq" --output-mode=quiet submit --name=reduce --array=0-$((shards - 1)) --stdout="shards/%{TASK_ID}" --stderr=none \
    ./reduce "$count" "$shards")
follow "$second"
end=$(date +%s%N)

say "what hq says"
"$hq" job list --all
failed=$("$hq" job task-ids "$first,$second" --filter=failed | awk -F': ' '$2 != ""')
if [ -n "$failed" ]; then
    echo "failed tasks: $failed"
    "$hq" task list "$first" --task-status=failed | head -n 12
    exit 1
fi

say "summary"
cat shards/* | awk -v first=$((middle - begin)) -v second=$((end - middle)) -v tasks=$((count + shards)) '
    { files += $1; bytes += $2; packed += $3; wrong += $4 }
    function row(name, value) { printf "| %-22s | %16s |\n", name, value }
    END {
        line = "+------------------------+------------------+"
        print line
        row("files compressed", files)
        row("bytes read", bytes)
        row("bytes packed", packed)
        row("kept", sprintf("%.1f %%", 100 * packed / bytes))
        row("checksums that differ", wrong + 0)
        row("first array", sprintf("%.2f s", first / 1e9))
        row("second array", sprintf("%.2f s", second / 1e9))
        row("tasks per second", sprintf("%.0f", tasks / ((first + second) / 1e9)))
        row("wall time", sprintf("%.2f s", (first + second) / 1e9))
        print line
        exit wrong > 0 || files == 0
    }'
