import { join } from 'node:path';
import { App, Chart } from 'cdk8s';
import { AdaptletInstall } from './install.ts';

const app = new App();
new AdaptletInstall(new Chart(app, 'adaptlet'), 'install', {
  chart: join(import.meta.dirname, '../charts/adaptlet'),
  kubeVersion: 'v1.34.0',
});
app.synth();
