// The plugins: they only wire.

import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator } from '@jupyterlab/translation';

import { addCommands } from './commands';
import { listenToChanges } from './events';
import { LibraryModel } from './models/library';
import { LibraryPanel } from './panels/library';
import { LibraryRequests } from './request';
import { applySettings, DEFAULT_POLL_INTERVAL_S } from './settings';
import { ILibraryModel } from './tokens';
import { VERSION } from './version';

export { ILibraryModel } from './tokens';
export type { Connection, ILibraryState } from './tokens';

const SETTINGS_ID = 'norman-jupyter:plugin';

const modelPlugin: JupyterFrontEndPlugin<ILibraryModel> = {
  id: SETTINGS_ID,
  description: "Keeps the Norman server's models and state up to date.",
  autoStart: true,
  provides: ILibraryModel,
  optional: [ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    settings: ISettingRegistry | null
  ): ILibraryModel => {
    const model = new LibraryModel({
      requests: new LibraryRequests(app.serviceManager.serverSettings),
      version: VERSION,
      pollIntervalS: DEFAULT_POLL_INTERVAL_S
    });
    listenToChanges(app.serviceManager.events, model);
    if (settings !== null) {
      void applySettings(settings, SETTINGS_ID, model);
    }
    return model;
  }
};

const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'norman-jupyter:library',
  description: 'Shows the models of this Jupyter server in the left sidebar.',
  autoStart: true,
  requires: [ILibraryModel, ITranslator],
  optional: [ILayoutRestorer, ICommandPalette],
  activate: (
    app: JupyterFrontEnd,
    model: ILibraryModel,
    translator: ITranslator,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null
  ): void => {
    const panel = new LibraryPanel(model, translator);
    app.shell.add(panel, 'left', { rank: 550 });
    restorer?.add(panel, panel.id);
    addCommands({ app, panel, model, translator, palette });
  }
};

const plugins: JupyterFrontEndPlugin<unknown>[] = [modelPlugin, panelPlugin];

export default plugins;
