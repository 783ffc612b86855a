// What a dashboard's JSON has to be: test_dashboard.py puts it below these types, a panel a constant.
import type { AnnotationQuery, Dashboard, DataQuery, FieldConfig, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as piechart from '@grafana/schema/dist/esm/raw/composable/piechart/panelcfg/x/PieChartPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the values of an enum, not the enum
type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// the schema leaves queries to the data sources
type Query = DataQuery & {
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
  legendFormat?: string;
};

// Grafana fills in what a panel's options lack; what they have must be of them
type Of<Options, Custom> = Omit<Panel, 'options' | 'fieldConfig' | 'targets'> & {
  targets: Query[];
  options: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {
    defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> };
  };
};

// the formats are Prometheus'
type Annotation = AnnotationQuery<Query> & { titleFormat: string; textFormat: string };
type Whole = Json<Omit<Dashboard, 'panels' | 'annotations'> & { annotations: { list: Annotation[] } }>;
type Panels = {
  row: Json<RowPanel>;
  bargauge: Json<Of<bargauge.Options, never>>;
  heatmap: Json<Of<heatmap.Options, heatmap.FieldConfig>>;
  piechart: Json<Of<piechart.Options, piechart.FieldConfig>>;
  stat: Json<Of<stat.Options, never>>;
  'state-timeline': Json<Of<timeline.Options, timeline.FieldConfig>>;
  timeseries: Json<Of<timeseries.Options, timeseries.FieldConfig>>;
};
