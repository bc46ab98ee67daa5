import { Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { UserAccess } from './access.ts';
import { Crds } from './crds.ts';
import { Operator } from './operator.ts';
import { Runtime } from './runtime.ts';
import { defaults, type Install } from './settings.ts';

/** Everything that an install consists of, but the namespace: that belongs to whoever installs. */
export class Adaptlet extends Chart {
  constructor(scope: Construct, id: string, given: Partial<Install> = {}) {
    super(scope, id);
    const install = { ...defaults, ...given };
    new Crds(this, 'crds');
    new UserAccess(this, 'users');
    new Operator(this, 'operator', install);
    new Runtime(this, 'runtime', install);
  }
}
