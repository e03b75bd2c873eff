// The commands of this extension.

import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import { refreshIcon } from '@jupyterlab/ui-components';
import type { ITranslator } from '@jupyterlab/translation';

import { normanIcon } from './icons';
import { type LibraryPanel, TRANSLATION_DOMAIN } from './panels/library';
import type { ILibraryModel } from './tokens';

export const CommandIDs = {
  openLibrary: 'norman:open-library',
  refreshLibrary: 'norman:refresh-library'
} as const;

// The schema of a command without arguments.
const NO_ARGUMENTS = {
  args: { type: 'object', additionalProperties: false, properties: {} }
} as const;

/** Register the commands, and list them in the palette where there is one. */
export function addCommands(options: {
  readonly app: JupyterFrontEnd;
  readonly panel: LibraryPanel;
  readonly model: ILibraryModel;
  readonly translator: ITranslator;
  readonly palette: ICommandPalette | null;
}): void {
  const { app, panel, model, palette } = options;
  const trans = options.translator.load(TRANSLATION_DOMAIN);

  app.commands.addCommand(CommandIDs.openLibrary, {
    label: trans.__('Show Norman Models'),
    caption: trans.__('Show the models of this Jupyter server'),
    icon: normanIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => {
      app.shell.activateById(panel.id);
    }
  });
  app.commands.addCommand(CommandIDs.refreshLibrary, {
    label: trans.__('Refresh Norman Models'),
    caption: trans.__('Ask the server for its models now'),
    icon: refreshIcon,
    describedBy: NO_ARGUMENTS,
    execute: () => model.refresh()
  });
  for (const command of Object.values(CommandIDs)) {
    palette?.addItem({ command, category: trans.__('Norman') });
  }
}
