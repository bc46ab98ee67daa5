import { App } from 'cdk8s';
import { Adaptlet } from './install.ts';

const app = new App();
new Adaptlet(app, 'adaptlet');
app.synth();
