import type { VerifyReport } from '@coffer/storage/rotation/verify';
import type { ServerFlags } from './command.ts';
import { printJson, printLine, withServer } from './server-client.ts';

/** `coffer encryption verify`: exit status 0 only when everything could be decrypted and nothing was found. */
export async function runVerify(flags: ServerFlags): Promise<void> {
  const report = await withServer(
    flags,
    async (client) => (await client.json({ method: 'POST', path: '/coffer/v1/encryption/verify' })) as VerifyReport,
  );
  if (!report.passed) process.exitCode = 1;
  if (flags.output === 'json') {
    printJson(report);
    return;
  }
  for (const { resource, objects, decrypted, stale } of report.resources) {
    printLine(`${resource}: ${decrypted} of ${objects} decrypted${stale > 0 ? `, ${stale} with a key that is not the first` : ''}`);
  }
  for (const key of report.unreadable) printLine(`cannot be decrypted: ${key}`);
  const mebibytes = (report.bytes / 1024 / 1024).toFixed(1);
  printLine(
    `searched ${report.files} files (${report.bytes} bytes, ${mebibytes} MiB) for ${report.values} values in ${report.needles} forms, in ${report.durationMs} ms`,
  );
  if (report.tooShort > 0) printLine(`not searched: ${report.tooShort} values of less than 8 bytes`);
  if (report.alsoInTheClear > 0) {
    printLine(`not conclusive: ${report.alsoInTheClear} values that objects of resources without encryption hold as well`);
  }
  for (const { object, dataKey, form, file, offset } of report.found) {
    printLine(`FOUND ${object}, ${dataKey}: ${form} in ${file} at ${offset}`);
  }
  printLine(
    report.passed ? 'passed: nothing lies in the clear' : `FAILED: ${report.foundValues} of ${report.values} values lie in the clear`,
  );
}
