// Loaded into the server by `node --import`: on SIGWINCH it writes how long the turns of the event loop were since the last time, in ms,
// to the file COFFER_BENCH_TURNS.
import fs from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolutionMs = 1;
const turns = monitorEventLoopDelay({ resolution: resolutionMs });
turns.enable();
process.on('SIGWINCH', () => {
  const ms = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  const answer = { p99: ms(turns.percentile(99)), p999: ms(turns.percentile(99.9)), longest: ms(turns.max) };
  fs.writeFileSync(`${process.env.COFFER_BENCH_TURNS}.new`, JSON.stringify(answer));
  fs.renameSync(`${process.env.COFFER_BENCH_TURNS}.new`, process.env.COFFER_BENCH_TURNS);
  turns.reset();
});
