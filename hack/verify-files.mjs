#!/usr/bin/env node
import { execFileSync } from 'node:child_process';
// Checks names and sizes of source files: kebab-case, at most 500 lines (aim at 400), a first comment that says what it promises.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const maxLines = 500;
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', 'packages', 'cmd'], { cwd: root })
  .toString()
  .trim()
  .split('\n');
const problems = [];
for (const file of files.filter((name) => name.endsWith('.ts') && fs.existsSync(path.join(root, name)))) {
  if (!/^[a-z0-9.-]+\.ts$/.test(path.basename(file))) problems.push(`${file}: not kebab-case`);
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  const lines = text.split('\n').length;
  if (lines > maxLines) problems.push(`${file}: ${lines} lines`);
  if (!file.endsWith('.test.ts') && !/\/\*\*|^\/\//m.test(text)) problems.push(`${file}: no comment that says what it promises`);
}
for (const problem of problems) console.error(problem);
console.log(`verify-files: ${files.length} files, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;
