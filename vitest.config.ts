import { defineConfig } from 'vitest/config';

const reporters = ['default', './test/support/count-reporter.ts'];

// A test that fails in CI, whose machine may be busy, runs once more.
const retry = process.env.CI === undefined ? 0 : 1;

// Two projects: `unit` is fast and needs nothing; `system` runs the built program with real kubectl, sockets and containers,
// one file at a time because the files share the machine.
export default defineConfig({
  test: {
    reporters,
    pool: 'forks',
    projects: [
      {
        // What hack/build.mjs puts in.
        define: { __COFFER_VERSION__: '"0.0.0-test"', __COFFER_COMMIT__: '"unknown"' },
        test: {
          name: 'unit',
          include: ['packages/**/*.test.ts', 'cmd/**/*.test.ts', 'hack/**/*.test.ts'],
          testTimeout: 30_000,
          maxWorkers: 2,
          retry,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 1,
          fileParallelism: false,
          retry,
        },
      },
    ],
  },
});
